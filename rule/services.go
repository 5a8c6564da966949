package rule

import "strings"

// services are the names of ports that a condition may use for a number, from the
// IANA registry: those in everyday use. A name that is not here is an error that
// asks for the number.
var services = func() map[string]int64 {
	m := map[string]int64{}
	for _, w := range strings.Fields(serviceList) {
		name, port, _ := strings.Cut(w, ":")
		n := int64(0)
		for _, c := range port {
			n = n*10 + int64(c-'0')
		}
		m[name] = n
	}
	return m
}()

const serviceList = `tcpmux:1 echo:7 discard:9 systat:11 daytime:13 netstat:15 qotd:17 chargen:19 ftp-data:20 ftp:21 ssh:22
telnet:23 smtp:25 mail:25 time:37 whois:43 tacacs:49 domain:53 bootps:67 bootpc:68 tftp:69 gopher:70 finger:79 http:80 www:80 kerberos:88
kerberos5:88 krb5:88 iso-tsap:102 acr-nema:104 pop3:110 pop-3:110 sunrpc:111 portmapper:111 auth:113 ident:113 nntp:119 ntp:123 epmap:135 loc-srv:135
netbios-ns:137 netbios-dgm:138 netbios-ssn:139 imap2:143 imap:143 snmp:161 snmp-trap:162 snmptrap:162 cmip-man:163 cmip-agent:164 mailq:174
xdmcp:177 bgp:179 smux:199 qmtp:209 z3950:210 ipx:213 ptp-event:319 ptp-general:320 pawserv:345 zserv:346 rpc2portmap:369 codaauth2:370
clearcase:371 ldap:389 svrloc:427 https:443 snpp:444 microsoft-ds:445 kpasswd:464 submissions:465 smtps:465 saft:487 isakmp:500 rtsp:554 nqs:607
asf-rmcp:623 qmqp:628 ipp:631 ldp:646 exec:512 login:513 shell:514 syslog:514 printer:515 talk:517 ntalk:518 route:520 uucp:540 klogin:543
kshell:544 dhcpv6-client:546 dhcpv6-server:547 afpovertcp:548 nntps:563 submission:587 ldaps:636 tinc:655 silc:706 kerberos-adm:749
domain-s:853 rsync:873 ftps-data:989 ftps:990 telnets:992 imaps:993 pop3s:995 socks:1080 proofd:1093 rootd:1094 openvpn:1194 rmiregistry:1099
lotusnote:1352 ms-sql-s:1433 ms-sql-m:1434 ingreslock:1524 datametrics:1645 radius:1812 radius-acct:1813 cisco-sccp:2000 nfs:2049 gnunet:2086
rtcm-sc104:2101 gsigatekeeper:2119 gris:2135 cvspserver:2401 venus:2430 mon:2583 zebra:2601 zebrasrv:2600 gpsd:2947 gds-db:3050 icpv2:3130
iscsi-target:3260 mysql:3306 ms-wbt-server:3389 nut:3493 distcc:3632 daap:3689 svn:3690 subversion:3690 suucp:4031 sysrqd:4094 epmd:4369 remctl:4373
ipsec-nat-t:4500 fax:4557 hylafax:4559 iax:4569 mtn:4691 radmin-port:4899 sip:5060 sip-tls:5061 xmpp-client:5222 xmpp-server:5269 cfengine:5308
mdns:5353 postgresql:5432 postgres:5432 freeciv:5556 amqps:5671 amqp:5672 x11:6000 x11-1:6001 gnutella-svc:6346 redis:6379 sge-qmaster:6444
ircd:6667 ircs-u:6697 afs3-fileserver:7000 font-service:7100 http-alt:8080 webcache:8080 puppet:8140 bacula-dir:9101 bacula-fd:9102 bacula-sd:9103
xmms2:9667 nbd:10809 zabbix-agent:10050 zabbix-trapper:10051 amanda:10080 dicom:11112 hkp:11371 sgi-cmsd:17001 db-lsp:17500 dcap:22125
gsidcap:22128 wnn6:22273 kx:2111 rplay:5555 nsca:5667 mrtd:5674 bgpsim:5675 canna:5680 zope:9673 isisd:2608 ospfd:2604 bgpd:2605 ripd:2602`
