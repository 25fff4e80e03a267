// nodemailer: nodemailer.js CONTENT, a file that holds the content of a message. It reads lines
// `LOAD PORT COUNT`, and prints `ready` and `done`, like the clients in Python.
'use strict';
const { readFileSync } = require('fs');
const readline = require('readline');
const nodemailer = require('nodemailer');

const envelope = { from: 'ann@client.example', to: ['bob@example.org'] };
const content = readFileSync(process.argv[2]);
const line = Buffer.from('z'.repeat(74) + '\r\n');
const mebibyte = 1024 * 1024;

function transport(port, options) {
    return nodemailer.createTransport({
        host: '127.0.0.1', port, name: 'client.example', ignoreTLS: true, ...options,
    });
}

async function send(transport, raw = content) {
    await transport.sendMail({ envelope, raw });
}

async function session(port, bodies) {
    const kept = transport(port, { pool: true, maxConnections: 1, maxMessages: Infinity });
    for (const body of bodies) {
        await send(kept, body);
    }
    kept.close();
}

const loads = {
    async C1(port, count) {
        for (let done = 0; done < count; done++) {
            await send(transport(port));
        }
    },
    async C2(port, count) {
        await session(port, Array(count).fill(content));
    },
    async C3(port, count) {
        const lines = Math.floor((count * mebibyte) / line.length);
        await session(port, [Buffer.alloc(lines * line.length, line)]);
    },
    async C4(port, count) {
        await Promise.all(Array.from({ length: count }, () => send(transport(port))));
    },
    async TLS(port, count) {
        for (let done = 0; done < count; done++) {
            await transport(port, { host: 'localhost', secure: true }).verify();
        }
    },
};
loads.C2f = loads.C2;

async function main() {
    console.log('ready');
    for await (const request of readline.createInterface({ input: process.stdin })) {
        const [name, port, count] = request.split(' ');
        await loads[name](Number(port), Number(count));
        console.log('done');
    }
}

main();
