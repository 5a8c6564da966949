package sbom

import "strings"

// licenseIDs are the identifiers of the SPDX licence list that occur in images. A
// licence outside it is written by name, which every reader of either format takes.
var licenseIDs = set(`0BSD AFL-2.1 AFL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 APSL-2.0
Artistic-1.0 Artistic-1.0-Perl Artistic-2.0 BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause BSD-2-Clause-Patent BSD-3-Clause
BSD-3-Clause-Clear BSD-4-Clause BSD-4-Clause-UC BSL-1.0 bzip2-1.0.6 CC-BY-3.0 CC-BY-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0
CC0-1.0 CDDL-1.0 CDDL-1.1 CPL-1.0 curl ECL-2.0 EPL-1.0 EPL-2.0 EUPL-1.1 EUPL-1.2 FSFAP FSFUL FSFULLR FTL GFDL-1.1-only
GFDL-1.2-only GFDL-1.2-or-later GFDL-1.3-only GFDL-1.3-or-later GPL-1.0-only GPL-1.0-or-later GPL-2.0-only
GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later HPND ICU IJG ImageMagick Info-ZIP IPL-1.0 ISC JSON LGPL-2.0-only
LGPL-2.0-or-later LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later Libpng libpng-2.0 libtiff LPPL-1.3c MIT MIT-0
MIT-CMU MPL-1.0 MPL-1.1 MPL-2.0 MS-PL MS-RL NCSA NTP OFL-1.0 OFL-1.1 OLDAP-2.8 OpenSSL OSL-3.0 PHP-3.0 PHP-3.01
PostgreSQL PSF-2.0 Python-2.0 QPL-1.0 Ruby SISSL Sleepycat SMLNJ SSPL-1.0 TCL Unicode-3.0 Unicode-DFS-2016 Unlicense
UPL-1.0 Vim W3C WTFPL X11 Xnet XFree86-1.1 Zend-2.0 Zlib zlib-acknowledgement ZPL-2.0 ZPL-2.1
AGPL-3.0 GPL-1.0 GPL-2.0 GPL-3.0 LGPL-2.0 LGPL-2.1 LGPL-3.0 GFDL-1.2 GFDL-1.3`)

// exceptions may follow WITH in an expression.
var exceptions = set(`Autoconf-exception-2.0 Autoconf-exception-3.0 Bison-exception-2.2 Classpath-exception-2.0
Font-exception-2.0 GCC-exception-2.0 GCC-exception-3.1 Libtool-exception LLVM-exception OpenSSL-exception
openvpn-openssl-exception Qt-LGPL-exception-1.1 u-boot-exception-2.0 Universal-FOSS-exception-1.0`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// expression reports whether s is a licence expression whose every identifier is known:
// identifiers joined by AND, OR and WITH, grouped by balanced brackets.
func expression(s string) bool {
	if len(s) > 2000 {
		return false
	}
	words := strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(s))
	depth := 0
	operand := true // what is expected next
	for i, w := range words {
		switch {
		case w == "(" && operand:
			depth++
		case w == ")" && !operand && depth > 0:
			depth--
		case (w == "AND" || w == "OR") && !operand:
			operand = true
		case w == "WITH" && !operand && licenseIDs[words[i-1]]:
			operand = true
		case operand && i > 0 && words[i-1] == "WITH" && exceptions[w]:
			operand = false
		case operand && (i == 0 || words[i-1] != "WITH") && licenseIDs[strings.TrimSuffix(w, "+")]:
			operand = false
		default:
			return false
		}
	}
	return len(words) > 0 && depth == 0 && !operand
}
