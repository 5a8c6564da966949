package license

import "testing"

func TestNamesOfEveryEcosystem(t *testing.T) {
	for in, want := range map[string]string{
		"MIT": "MIT", "mit": "MIT", "The MIT License (MIT)": "MIT", "Expat": "MIT", "MIT License": "MIT", "License :: OSI Approved :: MIT License": "MIT", "MIT/X11": "MIT",
		"Apache-2.0": "Apache-2.0", "Apache License, Version 2.0": "Apache-2.0", "The Apache Software License, Version 2.0": "Apache-2.0", "ASL 2.0": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0.txt": "Apache-2.0",
		"GPL-2+": "GPL-2.0-or-later", "GPLv2+": "GPL-2.0-or-later", "GPL-2": "GPL-2.0-only", "GPL-2.0": "GPL-2.0-only", "GPL-3.0-or-later": "GPL-3.0-or-later", "GNU General Public License v3 (GPLv3)": "GPL-3.0-only", "License :: OSI Approved :: GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
		"GNU General Public License, version 2": "GPL-2.0-only", "LGPL-2.1+": "LGPL-2.1-or-later", "LGPLv2+": "LGPL-2.0-or-later", "GNU Lesser General Public License v3": "LGPL-3.0-only", "License :: OSI Approved :: GNU Affero General Public License v3": "AGPL-3.0-only",
		"BSD-3-clause": "BSD-3-Clause", "BSD 3-Clause License": "BSD-3-Clause", "New BSD License": "BSD-3-Clause", "3-Clause BSD License": "BSD-3-Clause", "MPL 2.0": "MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "EPL 1.0": "EPL-1.0", "Eclipse Public License - v 2.0": "EPL-2.0",
		"(MIT OR Apache-2.0)": "MIT OR Apache-2.0", "MIT/Apache-2.0": "MIT OR Apache-2.0", "GPL-2+ and LGPL-2.1+": "GPL-2.0-or-later AND LGPL-2.1-or-later", "GPLv2+ and (MIT or BSD)": "GPL-2.0-or-later AND (MIT OR BSD)", "MIT BSD-3-Clause": "MIT AND BSD-3-Clause",
		"GPL-2.0-only WITH Classpath-exception-2.0": "GPL-2.0-only WITH Classpath-exception-2.0", "ISC License (ISCL)": "ISC", "PSF": "PSF-2.0", "Public Domain": "Public Domain", "public-domain": "public-domain", "BSD": "BSD", "UNKNOWN": "", "Programming Language :: Python": "", "License :: OSI Approved": "",
		"our own terms, see the contract": "our own terms, see the contract", "GPL-2.0-or-later OR LGPL-2.1-or-later": "GPL-2.0-or-later OR LGPL-2.1-or-later",
	} {
		if got := Expression(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if again := Expression(Expression(in)); again != Expression(in) {
			t.Errorf("%q changes twice: %q", in, again)
		}
	}
}
