package sbom

func (d *decoder) spdxJSON(b []byte, version string) error { return ErrFormat }
func (d *decoder) spdxTagValue(b []byte) error             { return ErrFormat }
