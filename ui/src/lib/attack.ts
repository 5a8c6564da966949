// MITRE ATT&CK for the strip: the tactics in their published order, and the names
// of the techniques our rules name. An id that is not here is shown bare.
export const TACTICS = ["Reconnaissance", "Resource Development", "Initial Access", "Execution", "Persistence", "Privilege Escalation", "Defense Evasion", "Credential Access", "Discovery", "Lateral Movement", "Collection", "Command and Control", "Exfiltration", "Impact"] as const;

const NAMES: Record<string, string> = {
  "T1003": "OS Credential Dumping", "T1003.008": "/etc/passwd and /etc/shadow", "T1036": "Masquerading", "T1053.003": "Cron", "T1059": "Command and Scripting Interpreter",
  "T1059.004": "Unix Shell", "T1068": "Exploitation for Privilege Escalation", "T1071": "Application Layer Protocol", "T1071.001": "Web Protocols", "T1095": "Non-Application Layer Protocol", "T1098": "Account Manipulation", "T1105": "Ingress Tool Transfer",
  "T1036.005": "Match Legitimate Resource Name or Location", "T1053.007": "Container Orchestration Job", "T1069": "Permission Groups Discovery", "T1070": "Indicator Removal", "T1078": "Valid Accounts", "T1078.001": "Default Accounts",
  "T1090": "Proxy", "T1090.003": "Multi-hop Proxy", "T1098.004": "SSH Authorized Keys", "T1098.006": "Additional Container Cluster Roles", "T1133": "External Remote Services", "T1204.003": "Malicious Image", "T1485": "Data Destruction",
  "T1543.005": "Container Service", "T1550.001": "Application Access Token", "T1556": "Modify Authentication Process", "T1557": "Adversary-in-the-Middle", "T1562.001": "Disable or Modify Tools", "T1572": "Protocol Tunneling",
  "T1649": "Steal or Forge Authentication Certificates", "T1140": "Deobfuscate/Decode Files or Information", "T1190": "Exploit Public-Facing Application", "T1204": "User Execution", "T1222": "File and Directory Permissions Modification", "T1496": "Resource Hijacking",
  "T1505.003": "Web Shell", "T1525": "Implant Internal Image", "T1528": "Steal Application Access Token", "T1543.002": "Systemd Service", "T1546.004": "Unix Shell Configuration Modification", "T1552": "Unsecured Credentials", "T1552.001": "Credentials In Files",
  "T1552.004": "Private Keys", "T1552.005": "Cloud Instance Metadata API", "T1552.007": "Container API", "T1571": "Non-Standard Port", "T1574.006": "Dynamic Linker Hijacking", "T1580": "Cloud Infrastructure Discovery", "T1609": "Container Administration Command",
  "T1610": "Deploy Container", "T1611": "Escape to Host", "T1613": "Container and Resource Discovery", "T1620": "Reflective Code Loading",
};

export const techniqueName = (id: string): string => NAMES[id] ?? "";
