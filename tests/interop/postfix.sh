#!/bin/bash
# usage: postfix.sh DIR PORT CHAIN CA DOMAIN=PORT...
#
# A Postfix of its own in DIR, on 127.0.0.1:PORT, in the foreground: with STARTTLS (CHAIN: key and
# certificates), mailboxes of box.test in DIR/mail, and each DOMAIN relayed over TLS that CA vouches
# for to 127.0.0.1 and its PORT. Its log is its output, its pid is in DIR/queue/pid/master.pid.
set -eu
dir=$1 port=$2 chain=$3 ca=$4
shift 4

routes=
for route in "$@"; do
    routes+="{ ${route%=*} = smtp:[127.0.0.1]:${route#*=} } "
done

mkdir -p "$dir"/{etc,queue,data,mail}
chown postfix: "$dir"/{data,mail}

cat > "$dir/etc/main.cf" <<END
compatibility_level = 3.6
queue_directory = $dir/queue
data_directory = $dir/data
maillog_file = /dev/stdout

myhostname = mx.postfix.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtputf8_enable = yes
# The header stays as it came.
local_header_rewrite_clients =

mydestination =
alias_maps =
virtual_mailbox_domains = box.test
virtual_mailbox_base = $dir/mail
virtual_mailbox_maps = inline:{
    { alice@box.test = alice/ } { bob@box.test = bob/ } { jürgen@box.test = jürgen/ } }
virtual_uid_maps = static:$(id -u postfix)
virtual_gid_maps = static:$(id -g postfix)
virtual_minimum_uid = 1
transport_maps = inline:{ $routes}

smtpd_tls_security_level = may
smtpd_tls_chain_files = $chain
smtp_tls_security_level = secure
smtp_tls_CAfile = $ca
smtp_tls_secure_cert_match = localhost

# What must be tried again is tried again soon.
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
in_flow_delay = 0s
END

cat > "$dir/etc/master.cf" <<END
127.0.0.1:$port inet n - n - - smtpd
cleanup  unix       n - n -   0 cleanup
qmgr     unix       n - n 300 1 qmgr
rewrite  unix       - - n -   - trivial-rewrite
tlsmgr   unix       - - n -   1 tlsmgr
virtual  unix       - n n -   - virtual
smtp     unix       - - n -   - smtp
bounce   unix       - - n -   0 bounce
defer    unix       - - n -   0 bounce
trace    unix       - - n -   0 bounce
error    unix       - - n -   - error
retry    unix       - - n -   - error
anvil    unix       - - n -   1 anvil
scache   unix       - - n -   1 scache
proxymap unix       - - n -   - proxymap
postlog  unix-dgram n - n -   1 postlogd
END

exec postfix -c "$dir/etc" start-fg
