// Fields that filters of images, packages and vulnerabilities may name, for
// completion. The server says which exist; a Go test asks it about every example.
import { RATINGS, SEVERITIES, STATUSES } from "./query";

export type FieldHint = readonly [name: string, what: string, example: string];

const ages = ["<1h", "<24h", "<7d", "<30d", ">30d"];
const yes = ["yes", "no"];

/** Values to propose for a field that has few. */
export const VALUES: Readonly<Record<string, readonly string[]>> = {
  kev: yes, fixable: yes, running: yes, assessed: yes, in_use: ["yes", "no", "unknown"], gate: ["passed", "failed", "none"],
  status: ["fixed", "unfixed", "wont-fix", "deferred", "end-of-life", "under-review"],
  severity: [...[...RATINGS].slice(1).map((s) => `>=${s}`).reverse(), ...[...RATINGS].reverse()], age: ages, scanned: ages,
};
export const ALERT_VALUES: Readonly<Record<string, readonly string[]>> = {
  severity: [...SEVERITIES.map((s) => `>=${s}`).reverse(), ...[...SEVERITIES].reverse()], status: STATUSES, age: ["<15m", "<1h", "<24h", "<7d", "<30d"],
};

export const IMAGE_FIELDS: readonly FieldHint[] = [
  ["image", "a reference it was seen under", "image:*nginx*"],
  ["severity", "the worst vulnerability in it", "severity:>=high"],
  ["running", "whether a container runs it now", "running:yes"],
  ["kev", "holds something known to be exploited", "kev:yes"],
  ["fixable", "holds something a newer version mends", "fixable:yes"],
  ["in_use", "a vulnerable package was seen loaded", "in_use:yes"],
  ["assessed", "whether there is a verdict", "assessed:no"],
  ["id", "holds this vulnerability", "id:CVE-2024-3094"],
  ["package", "holds this package", "package:openssl"],
  ["workload", "runs there now", "workload:payments/*"],
  ["node", "runs on that machine now", "node:*vmss000002"],
  ["distro", "its distribution", "distro:debian*"],
  ["base", "the image it is built on", "base:*debian*"],
  ["owner", "who its labels say answers for it", "owner:payments"],
  ["gate", "how its last gate went", "gate:none"],
  ["secrets", "credentials found in it", "secrets:>0"],
  ["malware", "files on a list of malware", "malware:>0"],
  ["packages", "how many packages it holds", "packages:>500"],
  ["digest", "its digest", "digest:sha256:4f2a*"],
  ["platform", "for which machines", "platform:linux/arm64"],
  ["source", "where it was read from", "source:registry"],
  ["age", "since it was last scanned or seen", "age:<7d"],
  ["first", "when it was first seen", "first:>=2026-01-31"],
  ["scanned", "since its last scan", "scanned:>30d"],
];

export const VULNERABILITY_FIELDS: readonly FieldHint[] = [
  ["severity", "the worst rating of it", "severity:>=high"],
  ["id", "any of its ids", "id:CVE-2024-*"],
  ["kev", "known to be exploited", "kev:yes"],
  ["running", "an image that has it runs now", "running:yes"],
  ["in_use", "a package that has it was seen loaded", "in_use:yes"],
  ["fixable", "a newer version of every package mends it", "fixable:yes"],
  ["status", "what can be done at best", "status:unfixed,wont-fix"],
  ["epss", "probability of exploitation in 30 days, 0 to 1", "epss:>=0.1"],
  ["cvss", "base score, 0 to 10", "cvss:>=9"],
  ["images", "how many images have it", "images:>=10"],
  ["package", "a package that has it", "package:openssl"],
  ["image", "an image that has it", "image:*nginx*"],
  ["distro", "distribution of an image that has it", "distro:alpine*"],
  ["workload", "a workload that runs it now", "workload:payments/*"],
  ["owner", "who answers for such a workload", "owner:payments"],
  ["title", "its title", "title:*overflow*"],
  ["age", "since it was first detected", "age:<7d"],
  ["published", "when it was published", "published:>=2026-01-31"],
];

export const FINDING_FIELDS: readonly FieldHint[] = [
  ["severity", "how bad it is", "severity:>=high"],
  ["id", "any of its ids", "id:CVE-2024-*"],
  ["package", "the package that has it", "package:openssl"],
  ["type", "type of the package", "type:deb,npm"],
  ["kev", "known to be exploited", "kev:yes"],
  ["fixable", "a newer version mends it", "fixable:yes"],
  ["in_use", "its package was seen loaded", "in_use:yes"],
  ["status", "what can be done", "status:unfixed,wont-fix"],
  ["epss", "probability of exploitation, 0 to 1", "epss:>=0.1"],
  ["cvss", "base score, 0 to 10", "cvss:>=9"],
  ["layer", "layer that brought the package", "layer:>=3"],
  ["location", "file the package was read from", "location:*node_modules*"],
  ["title", "its title", "title:*overflow*"],
  ["age", "since it was first detected here", "age:<7d"],
];

export const PACKAGE_FIELDS: readonly FieldHint[] = [
  ["package", "its name", "package:lib*"],
  ["version", "its version", "version:3.0.*"],
  ["type", "deb, apk, rpm, npm, golang…", "type:npm"],
  ["licence", "a licence it names", "licence:GPL*"],
  ["vulnerabilities", "how many it has", "vulnerabilities:>0"],
  ["in_use", "whether it was seen loaded", "in_use:yes"],
  ["layer", "layer that brought it", "layer:>=3"],
  ["location", "file it was read from", "location:*node_modules*"],
];
