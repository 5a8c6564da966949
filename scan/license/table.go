package license

import "strings"

// known are SPDX ids by category.
var known = map[Category]string{
	Permissive: `0BSD AFL-2.1 AFL-3.0 Apache-1.0 Apache-1.1 Apache-2.0 Artistic-2.0 BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause BSD-2-Clause-Patent BSD-3-Clause BSD-3-Clause-Clear BSD-4-Clause BSD-4-Clause-UC BSD-Source-Code BSL-1.0 bzip2-1.0.6
		CC-BY-3.0 CC-BY-4.0 CC0-1.0 curl ECL-2.0 FSFAP FSFUL FSFULLR FTL HPND HPND-sell-variant ICU IJG Info-ZIP ISC JasPer-2.0 libpng-2.0 Libpng libtiff Linux-man-pages-copyleft MIT MIT-0 MIT-CMU MIT-Modern-Variant MS-PL MulanPSL-2.0 NCSA NTP
		OLDAP-2.8 OpenSSL OFL-1.1 PHP-3.0 PHP-3.01 PostgreSQL PSF-2.0 Python-2.0 Python-2.0.1 Ruby SMLNJ SSH-OpenSSH SSH-short SunPro TCL UPL-1.0 Unicode-3.0 Unicode-DFS-2015 Unicode-DFS-2016 Unicode-TOU Unlicense Vim W3C WTFPL X11 Xnet Zend-2.0 Zlib zlib-acknowledgement ZPL-2.0 ZPL-2.1`,
	WeakCopyleft: `APSL-2.0 Artistic-1.0 Artistic-1.0-Perl Artistic-1.0-cl8 CDDL-1.0 CDDL-1.1 CECILL-C CPL-1.0 EPL-1.0 EPL-2.0 ErlPL-1.1 GFDL-1.1-only GFDL-1.1-or-later GFDL-1.2-only GFDL-1.2-or-later GFDL-1.3-only GFDL-1.3-or-later
		GFDL-1.2-no-invariants-only GFDL-1.2-no-invariants-or-later GFDL-1.3-no-invariants-only GFDL-1.3-no-invariants-or-later IPL-1.0 LGPL-2.0-only LGPL-2.0-or-later LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later LPPL-1.3c MPL-1.0 MPL-1.1 MPL-2.0 MPL-2.0-no-copyleft-exception MS-RL NPL-1.1 SISSL`,
	StrongCopyleft:  `CC-BY-SA-3.0 CC-BY-SA-4.0 CECILL-2.0 CECILL-2.1 EUPL-1.1 EUPL-1.2 GPL-1.0-only GPL-1.0-or-later GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later QPL-1.0 Sleepycat`,
	NetworkCopyleft: `AGPL-1.0-only AGPL-1.0-or-later AGPL-3.0-only AGPL-3.0-or-later OSL-3.0 RPL-1.5 CPAL-1.0`,
	Proprietary:     `BUSL-1.1 CC-BY-NC-3.0 CC-BY-NC-4.0 CC-BY-NC-ND-4.0 CC-BY-NC-SA-4.0 CC-BY-ND-4.0 Elastic-2.0 JSON SSPL-1.0 PolyForm-Noncommercial-1.0.0 Parity-7.0.0`,
}

// aliases are other spellings and names; the left side is folded by key before use.
var aliases = map[string]string{
	"expat": "MIT", "mit/x11": "MIT", "mit x11": "MIT", "x11/mit": "MIT", "mit expat": "MIT", "the mit license (mit)": "MIT", "mit license (expat)": "MIT", "bouncy castle licence": "MIT",
	"bsd-3": "BSD-3-Clause", "bsd 3 clause": "BSD-3-Clause", "3-clause bsd": "BSD-3-Clause", "bsd three clause": "BSD-3-Clause", "new bsd": "BSD-3-Clause", "revised bsd": "BSD-3-Clause", "modified bsd": "BSD-3-Clause", "bsd new": "BSD-3-Clause", "edl 1.0": "BSD-3-Clause", "eclipse distribution license": "BSD-3-Clause", "eclipse distribution license 1.0": "BSD-3-Clause",
	"bsd-2": "BSD-2-Clause", "bsd 2 clause": "BSD-2-Clause", "2-clause bsd": "BSD-2-Clause", "simplified bsd": "BSD-2-Clause", "freebsd": "BSD-2-Clause", "bsd two clause": "BSD-2-Clause",
	"bsd-4": "BSD-4-Clause", "zero-clause bsd": "0BSD", "bsd zero clause": "0BSD",
	"apache 2": "Apache-2.0", "asl 2": "Apache-2.0", "al 2": "Apache-2.0", "apache2": "Apache-2.0", "apache 2.0": "Apache-2.0", "apachev2": "Apache-2.0", "apl 2": "Apache-2.0",
	"gpl1": "GPL-1.0-only", "gpl1+": "GPL-1.0-or-later", "gpl2": "GPL-2.0-only", "gpl2+": "GPL-2.0-or-later", "gpl3": "GPL-3.0-only", "gpl3+": "GPL-3.0-or-later",
	"lgpl2": "LGPL-2.0-only", "lgpl2+": "LGPL-2.0-or-later", "lgpl2.1": "LGPL-2.1-only", "lgpl2.1+": "LGPL-2.1-or-later", "lgpl3": "LGPL-3.0-only", "lgpl3+": "LGPL-3.0-or-later",
	"agpl3": "AGPL-3.0-only", "agpl3+": "AGPL-3.0-or-later", "mpl1.1": "MPL-1.1", "mpl2": "MPL-2.0", "epl1": "EPL-1.0", "epl2": "EPL-2.0", "cddl1": "CDDL-1.0", "cddl1.1": "CDDL-1.1", "cddl": "CDDL-1.0",
	"zlib/libpng": "Zlib", "boost": "BSL-1.0", "boost1": "BSL-1.0", "psf": "PSF-2.0", "psfl": "PSF-2.0", "python software foundation": "PSF-2.0", "zope 2.1": "ZPL-2.1", "zpl 2.1": "ZPL-2.1",
	"isc license (iscl)": "ISC", "iscl": "ISC", "the unlicense": "Unlicense", "the unlicense (unlicense)": "Unlicense", "cc0": "CC0-1.0", "cc0 1.0 universal": "CC0-1.0", "cc0 1.0 universal (cc0 1.0) public domain dedication": "CC0-1.0",
	"artistic 2": "Artistic-2.0", "artistic2": "Artistic-2.0", "ofl": "OFL-1.1", "sil open font 1.1": "OFL-1.1", "openldap": "OLDAP-2.8", "ijg": "IJG", "vim": "Vim", "wtfpl": "WTFPL", "do what the fuck you want to": "WTFPL",
	"ncsa": "NCSA", "university of illinois/ncsa open source": "NCSA", "historical permission notice and disclaimer (hpnd)": "HPND", "gfdl1.2": "GFDL-1.2-only", "gfdl1.2+": "GFDL-1.2-or-later", "gfdl1.3": "GFDL-1.3-only", "gfdl1.3+": "GFDL-1.3-or-later",
	"gfdl-niv-1.3": "GFDL-1.3-no-invariants-only", "gfdl-niv-1.3+": "GFDL-1.3-no-invariants-or-later", "gfdl-niv-1.2+": "GFDL-1.2-no-invariants-or-later", "elv2": "Elastic-2.0", "sspl1": "SSPL-1.0", "sspl": "SSPL-1.0", "bsl 1.1": "BUSL-1.1", "business source 1.1": "BUSL-1.1",
}

// families are names that leave the version open: kept as they are written, their
// category is plain all the same.
var families = map[string]Category{
	"apache": Permissive, "bsd": Permissive, "publicdomain": Permissive, "domain": Permissive, "pd": Permissive, "permissive": Permissive, "copyright": Unknown,
	"artistic": WeakCopyleft, "lgpl": WeakCopyleft, "mpl": WeakCopyleft, "epl": WeakCopyleft, "gfdl": WeakCopyleft, "perl": WeakCopyleft,
	"gpl": StrongCopyleft, "gpl+": StrongCopyleft, "agpl": NetworkCopyleft, "commercial": Proprietary, "proprietary": Proprietary, "unlicensed": Proprietary, "eula": Proprietary, "unicode": Permissive, "python": Permissive, "beerware": Permissive, "sgi": Permissive, "afl2": Permissive,
}

// addresses are parts of addresses at which licences are published.
var addresses = [...]struct{ part, id string }{
	{"apache.org/licenses/license-2.0", "Apache-2.0"}, {"apache.org/licenses/license-1.1", "Apache-1.1"}, {"apache.org/license/license-2.0", "Apache-2.0"},
	{"gnu.org/licenses/lgpl-3.0", "LGPL-3.0-only"}, {"gnu.org/licenses/lgpl-2.1", "LGPL-2.1-only"}, {"gnu.org/licenses/old-licenses/lgpl-2.1", "LGPL-2.1-only"}, {"gnu.org/licenses/agpl-3.0", "AGPL-3.0-only"},
	{"gnu.org/licenses/gpl-3.0", "GPL-3.0-only"}, {"gnu.org/licenses/old-licenses/gpl-2.0", "GPL-2.0-only"}, {"gnu.org/licenses/gpl-2.0", "GPL-2.0-only"},
	{"eclipse.org/legal/epl-v10", "EPL-1.0"}, {"eclipse.org/legal/epl-2.0", "EPL-2.0"}, {"eclipse.org/legal/epl-v20", "EPL-2.0"}, {"eclipse.org/org/documents/edl-v10", "BSD-3-Clause"}, {"eclipse.org/org/documents/epl-v10", "EPL-1.0"},
	{"mozilla.org/mpl/2.0", "MPL-2.0"}, {"mozilla.org/en-us/mpl/2.0", "MPL-2.0"}, {"mozilla.org/mpl/mpl-1.1", "MPL-1.1"}, {"creativecommons.org/publicdomain/zero/1.0", "CC0-1.0"},
	{"opensource.org/licenses/mit-license", "MIT"}, {"opensource.org/licenses/bsd-license", "BSD-2-Clause"}, {"bouncycastle.org/licence", "MIT"}, {"unlicense.org", "Unlicense"}, {"json.org/license", "JSON"},
}

var byName, byKey, categories = index()

func index() (name, folded map[string]string, cats map[string]Category) {
	name, folded, cats = map[string]string{}, map[string]string{}, map[string]Category{}
	for c, ids := range known {
		for _, id := range strings.Fields(ids) {
			name[strings.ToLower(id)] = id
			folded[key(id)] = id
			cats[id] = c
		}
	}
	// The ids of GNU licences before SPDX wrote "only" and "or later".
	for _, id := range strings.Fields("GPL-1.0 GPL-2.0 GPL-3.0 LGPL-2.0 LGPL-2.1 LGPL-3.0 AGPL-1.0 AGPL-3.0 GFDL-1.1 GFDL-1.2 GFDL-1.3") {
		name[strings.ToLower(id)], name[strings.ToLower(id)+"+"] = id+"-only", id+"-or-later"
	}
	for a, id := range aliases {
		folded[key(a)] = id
	}
	return name, folded, cats
}

func categoryOf(id string) Category {
	if c, ok := categories[id]; ok {
		return c
	}
	if l := lookup(id); l != "" {
		return categories[l]
	}
	k := key(id)
	if c, ok := families[k]; ok {
		return c
	}
	// Debian names variants after the licence they vary: BSD-3-clause-pcre.
	for _, f := range [...]struct {
		begins string
		c      Category
	}{{"bsd", Permissive}, {"mit", Permissive}, {"isc", Permissive}, {"expat", Permissive}, {"apache", Permissive}, {"x11", Permissive}, {"zlib", Permissive}, {"hpnd", Permissive},
		{"lgpl", WeakCopyleft}, {"mpl", WeakCopyleft}, {"gfdl", WeakCopyleft}, {"agpl", NetworkCopyleft}, {"gpl", StrongCopyleft}} {
		if strings.HasPrefix(k, f.begins) {
			if f.c == StrongCopyleft && linking(k) {
				return WeakCopyleft
			}
			return f.c
		}
	}
	if strings.Contains(k, "publicdomain") || strings.HasSuffix(strings.ToLower(id), "-pd") || strings.Contains(k, "permissive") {
		return Permissive
	}
	return Unknown
}
