// nodemailer's smtp-server: smtp-server.js PEM MODE. MODE whole collects each message.
'use strict';
const { readFileSync } = require('fs');
const { SMTPServer } = require('smtp-server');

const [pem, mode] = process.argv.slice(2);
const certificate = readFileSync(pem);

const server = new SMTPServer({
    key: certificate,
    cert: certificate,
    authOptional: true,
    disableReverseLookup: true,
    maxClients: 10000,
    onData(stream, session, callback) {
        const pieces = [];
        stream.on('data', piece => {
            if (mode === 'whole') {
                pieces.push(piece);
            }
        });
        stream.on('end', () => {
            Buffer.concat(pieces);
            callback();
        });
    },
});
server.on('error', () => {}); // clients that leave
server.listen(0, '127.0.0.1', () => console.log(server.server.address().port));
