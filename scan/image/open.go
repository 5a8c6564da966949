package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// Open opens what ref names, one Opened for each image and platform asked for:
//
//	registry:REF docker:REF containerd:REF   an image by name or digest, there only
//	archive:FILE[:TAG]                       docker save, also compressed (docker-archive: is the same)
//	oci:DIR-OR-TAR[:TAG|@DIGEST]             an OCI layout
//	rootfs:DIR (dir:DIR)                     an unpacked root file system
//	sbom:FILE                                a list of packages, whatever its first bytes say
//	host:[DIR]                               the running machine
//	-                                        an archive from standard input
//
// The images called docker and registry are written docker.io/library/docker:TAG;
// docker://REF is registry:REF, as other tools write it.
// Without a prefix a path that exists is recognised by its content; anything else is
// an image reference, looked for in the Docker daemon, in containerd's store, and in
// its registry, in this order. For an SBOM the error is a *SBOMError. Archives with
// several images give all of them, named NAME:TAG. The caller closes each.
func Open(ctx context.Context, ref string, opt Options) ([]*Opened, error) {
	list, err := find(ctx, ref, opt)
	for _, o := range list {
		o.progress = opt.Progress
	}
	return list, err
}

func find(ctx context.Context, ref string, opt Options) ([]*Opened, error) {
	want, err := parsePlatform(opt.Platform)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	s := &source{name: ref, opt: &opt, want: want, foreign: opt.Registry.ForeignLayers}
	scheme, rest, ok := strings.Cut(ref, ":")
	if !ok {
		scheme = ""
	}
	switch scheme {
	case "registry", "docker", "containerd", "archive", "docker-archive", "oci", "oci-archive", "dir", "rootfs", "sbom":
		if rest == "" {
			return nil, fmt.Errorf("%q: nothing follows %s:", ref, scheme)
		}
	}
	switch scheme {
	case "registry":
		return s.openRegistry(ctx, rest)
	case "docker":
		if name, ok := strings.CutPrefix(rest, "//"); ok { // as skopeo and podman write registries
			return s.openRegistry(ctx, name)
		}
		return s.openDocker(ctx, rest)
	case "containerd":
		return s.openContainerd(ctx, rest)
	case "archive", "docker-archive", "oci", "oci-archive":
		return s.openPath(ctx, rest, scheme)
	case "dir", "rootfs":
		return s.openRootfs(rest, scan.KindRootfs)
	case "sbom":
		f, err := os.Open(rest)
		if err != nil {
			return nil, err
		}
		return nil, &SBOMError{Name: rest, Content: f}
	case "host":
		if rest == "" {
			rest = "/"
		}
		return s.openRootfs(rest, scan.KindHost)
	}
	if ref == "-" {
		return s.openStdin(ctx)
	}
	if _, err := os.Lstat(ref); err == nil {
		return s.openPath(ctx, ref, "")
	} else if path, selector := splitSelector(ref); selector != "" && looksPath(path) {
		return s.openPath(ctx, ref, "") // a bare name with a tag is an image, whatever the directory holds
	} else if looksPath(ref) {
		return nil, fmt.Errorf("%s: %w: no such file or directory", ref, ErrNotFound)
	}
	return s.openSomewhere(ctx, ref)
}

// looksPath tells a path from an image reference where no such file exists.
func looksPath(s string) bool {
	return strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") ||
		strings.HasSuffix(s, ".tar") || strings.HasSuffix(s, ".tar.gz") || strings.HasSuffix(s, ".tgz") || strings.HasSuffix(s, ".json")
}

// openSomewhere tries the places an image reference can be in.
func (s *source) openSomewhere(ctx context.Context, ref string) ([]*Opened, error) {
	if _, err := parseReference(ref); err != nil {
		return nil, fmt.Errorf("%s: neither an existing path nor an image reference: %w", clip(ref, 200), err)
	}
	var tried []string
	for _, place := range []struct {
		name string
		open func(*source, context.Context, string) ([]*Opened, error)
	}{{"Docker daemon", (*source).openDocker}, {"containerd", (*source).openContainerd}, {"registry", (*source).openRegistry}} {
		one := *s // what one place filled in is not for the next
		out, err := place.open(&one, ctx, ref)
		if err == nil {
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if errors.Is(err, ErrPlatform) && place.name == "registry" {
			return nil, err
		}
		tried = append(tried, place.name+": "+err.Error())
	}
	return nil, fmt.Errorf("%s: %w anywhere; tried\n  %s", ref, ErrNotFound, strings.Join(tried, "\n  "))
}

func (s *source) openRootfs(dir string, kind scan.Kind) ([]*Opened, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	st, err := os.Stat(abs)
	if err != nil {
		return nil, fmt.Errorf("root file system: %w", err)
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("root file system %s: not a directory", dir)
	}
	return []*Opened{{Root: abs, Image: scan.Image{Kind: kind, Name: s.name}}}, nil
}

// openPath opens a file or directory; scheme says what it must be, "" = look.
func (s *source) openPath(ctx context.Context, path, scheme string) ([]*Opened, error) {
	path, selector := splitSelector(path)
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if st.IsDir() {
		if scheme == "archive" || scheme == "docker-archive" {
			return nil, fmt.Errorf("%s: is a directory, not an archive: for an OCI layout write oci:%s, for an unpacked file system rootfs:%s", s.name, path, path)
		}
		if scheme == "" && !isFile(filepath.Join(path, "oci-layout")) && !isFile(filepath.Join(path, "index.json")) {
			return s.openRootfs(path, scan.KindRootfs)
		}
		return s.openLayoutDir(ctx, path, selector)
	}
	if !st.Mode().IsRegular() && st.Mode()&os.ModeNamedPipe == 0 {
		return nil, fmt.Errorf("%s: neither a file nor a directory", s.name)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if !st.Mode().IsRegular() { // <(docker save …)
		defer f.Close()
		return s.openStream(ctx, f, selector)
	}
	return s.openFile(ctx, f, st.Size(), selector)
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// splitSelector cuts FILE:TAG and DIR@DIGEST, unless the whole is a path that exists.
func splitSelector(s string) (path, selector string) {
	if _, err := os.Lstat(s); err == nil {
		return s, ""
	}
	for i := 1; i < len(s); i++ {
		if s[i] == ':' || s[i] == '@' {
			if _, err := os.Lstat(s[:i]); err == nil {
				return s[:i], s[i+1:]
			}
		}
	}
	return s, ""
}

func (s *source) openLayoutDir(ctx context.Context, dir, selector string) ([]*Opened, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	s.kind = scan.KindOCI
	return s.owning(root.Close, func() ([]*Opened, error) {
		return s.openLayout(ctx, &layout{files: dirFiles{root}}, selector)
	})
}

// owning lets what open opens close a resource, and closes it if it fails.
func (s *source) owning(close func() error, open func() ([]*Opened, error)) ([]*Opened, error) {
	s.shared = &shared{users: 1, close: close}
	defer s.shared.release() // the images have taken it for themselves
	return open()
}

// openStdin opens an archive, or finds an SBOM, on standard input.
func (s *source) openStdin(ctx context.Context) ([]*Opened, error) {
	in := s.opt.Stdin
	if in == nil {
		if st, err := os.Stdin.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
			return nil, errors.New("-: standard input is a terminal: pipe an archive into it, as in `docker save IMAGE | … -`")
		}
		in = os.Stdin
	}
	s.name = "standard input"
	return s.openStream(ctx, in, "")
}

func (s *source) openStream(ctx context.Context, in io.Reader, selector string) ([]*Opened, error) {
	f, size, err := s.opt.spool(ctx, in, s.name)
	if err != nil {
		return nil, err
	}
	return s.openFile(ctx, f, size, selector)
}

// openFile opens an archive and owns f from now on.
func (s *source) openFile(ctx context.Context, f *os.File, size int64, selector string) ([]*Opened, error) {
	var head [512]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		f.Close()
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if compression(head[:n]) != "" {
		plain, size, err := s.opt.spool(ctx, io.NewSectionReader(f, 0, size), s.name)
		f.Close()
		if err != nil {
			return nil, err
		}
		if n, _ := plain.ReadAt(head[:], 0); compression(head[:n]) != "" {
			plain.Close()
			return nil, fmt.Errorf("%s: compressed twice: decompress it once before", s.name)
		}
		return s.openFile(ctx, plain, size, selector)
	}
	if isSBOM(head[:n]) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		return nil, &SBOMError{Name: s.name, Content: f}
	}
	if !isTar(head[:n]) {
		f.Close()
		if n == 0 {
			return nil, fmt.Errorf("%s: an empty file", s.name)
		}
		return nil, fmt.Errorf("%s: not an image: neither a tar archive (docker save, OCI) nor an SBOM (CycloneDX, SPDX)", s.name)
	}
	return s.owning(f.Close, func() ([]*Opened, error) {
		ix, err := indexTar(f, size, s.name)
		if err != nil {
			return nil, err
		}
		return s.openIndexed(ctx, ix, selector)
	})
}

// openIndexed tells the two kinds of archive apart.
func (s *source) openIndexed(ctx context.Context, ix *tarIndex, selector string) ([]*Opened, error) {
	switch {
	case ix.has("manifest.json"):
		if s.kind == "" {
			s.kind = scan.KindArchive
		}
		return s.openSaved(ctx, ix, selector)
	case ix.has("index.json"):
		if s.kind == "" {
			s.kind = scan.KindOCI
		}
		return s.openLayout(ctx, &layout{files: ix}, selector)
	case ix.damaged != nil:
		return nil, fmt.Errorf("%w; it has neither manifest.json nor index.json up to there: write or copy the archive again", ix.damaged)
	case ix.has("repositories"):
		return nil, fmt.Errorf("%s: an archive of Docker before 1.10 (no manifest.json): load it and save it again with a current Docker", s.name)
	}
	return nil, fmt.Errorf("%s: a tar, but no image: it has neither manifest.json (docker save) nor index.json (OCI); an unpacked root file system is scanned as rootfs:DIR", s.name)
}

// isTar looks for the magic of POSIX and GNU tar, or a header whose checksum is right.
func isTar(head []byte) bool {
	if len(head) < 512 {
		return false
	}
	if bytes.HasPrefix(head[257:], []byte("ustar")) {
		return true
	}
	sum, want := 0, 0
	for i, b := range head[:512] {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int(b)
	}
	for _, b := range bytes.Trim(head[148:156], " \x00") {
		if b < '0' || b > '7' {
			return false
		}
		want = want*8 + int(b-'0')
	}
	return want == sum && want > 0
}

// isSBOM knows JSON and the tag-value form of SPDX by their first bytes; which of the
// formats it is, and whether it is any, scan/sbom says.
func isSBOM(head []byte) bool {
	t := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	return bytes.HasPrefix(t, []byte("{")) || bytes.HasPrefix(t, []byte("SPDXVersion:")) ||
		bytes.HasPrefix(t, []byte("#")) && bytes.Contains(t, []byte("SPDXVersion:")) ||
		bytes.HasPrefix(t, []byte("<?xml")) && bytes.Contains(t, []byte("cyclonedx")) || bytes.HasPrefix(t, []byte("<bom"))
}
