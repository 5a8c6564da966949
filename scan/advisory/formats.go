package advisory

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// The formats that are told by content.
const (
	formatOSV     = "osv"
	formatKEV     = "kev"
	formatEPSS    = "epss"
	formatTracker = "debian-tracker"
	formatSecDB   = "alpine-secdb"
	formatVEX     = "csaf"
	formatOVAL    = "oval"
	formatTar     = "tar"
)

// singleFeeds are the formats that only one feed has.
var singleFeeds = map[string]string{
	formatKEV: feedKEV, formatEPSS: feedEPSS, formatTracker: feedDebian, formatVEX: feedRedHat,
	formatTar: "an archive", formatOSV: "a single OSV record",
}

const (
	sniffed    = 16 << 10  // bytes looked at to tell a format
	maxRecords = 4_000_000 // files of one archive
)

// readDocument reads one document of any format; open may be called twice.
func (b *builder) readDocument(name string, open func() (io.ReadCloser, error)) (feedState, error) {
	in, err := open()
	if err != nil {
		return feedState{}, err
	}
	defer func() { _ = in.Close() }()
	r := bufio.NewReaderSize(in, 64<<10)
	head, err := r.Peek(sniffed)
	if len(head) == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return feedState{}, err
	}
	format := sniff(head)
	if feed, ok := singleFeeds[format]; ok {
		if err := b.may(feed); err != nil {
			return feedState{}, err
		}
	}
	// A whole feed of which only a part could be read is not taken at all: records that
	// are not there would count as withdrawn.
	whole := func(feed string, err error) (feedState, error) {
		if err != nil && feed != "" {
			b.feed(feed).fail(fmt.Errorf("%s: %w", name, err))
		}
		return feedState{}, err
	}
	switch format {
	case formatKEV:
		return whole(feedKEV, b.readKEV(r))
	case formatEPSS:
		return whole(feedEPSS, b.readEPSS(r))
	case formatTracker:
		return whole(feedDebian, b.readTracker(r))
	case formatSecDB:
		return whole(b.readSecDB(r))
	case formatVEX:
		return feedState{}, b.readVEX(name, r)
	case formatOVAL:
		_ = in.Close()
		return whole(b.readOVAL(open))
	case formatTar:
		return b.readTar(r, nil)
	case formatOSV:
		raw, err := io.ReadAll(io.LimitReader(r, maxRecord+1))
		if err != nil {
			return feedState{}, err
		}
		if len(raw) > maxRecord {
			return feedState{}, fmt.Errorf("a record of more than %d bytes", maxRecord)
		}
		return feedState{}, b.addOSV(name, raw, "")
	}
	return feedState{}, fmt.Errorf("not a format of advisories that is known here: it begins %.40q", head)
}

// readTar reads the documents of a tar archive: Red Hat publishes its VEX files so.
// Documents whose file name is in but are left out.
func (b *builder) readTar(in io.Reader, but map[string]bool) (feedState, error) {
	t := tar.NewReader(in)
	var bad change
	good := 0
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return bad.state, fmt.Errorf("tar: %w", err)
		}
		if n > maxRecords {
			return bad.state, fmt.Errorf("tar of more than %d files", maxRecords)
		}
		if h.Typeflag != tar.TypeReg || path.Ext(h.Name) != ".json" || but[path.Base(h.Name)] {
			continue
		}
		// One document: it is read from the stream, so it cannot be opened again.
		r := bufio.NewReaderSize(t, 64<<10)
		head, _ := r.Peek(sniffed)
		switch sniff(head) {
		case formatVEX:
			err = b.readVEX(h.Name, r)
		case formatOSV:
			var raw []byte
			if raw, err = io.ReadAll(io.LimitReader(r, maxRecord)); err == nil {
				err = b.addOSV(h.Name, raw, "")
			}
		default:
			err = errors.New("neither a CSAF document nor an OSV record")
		}
		if err == nil {
			good++
		}
		bad.note(h.Name, feedState{}, err)
	}
	if good == 0 {
		return bad.state, fmt.Errorf("nothing in the archive could be read: %s", strings.Join(bad.state.Why, "; "))
	}
	return bad.state, nil
}

// sniff tells the format of a document by its beginning; "" = none of them.
func sniff(head []byte) string {
	text := strings.TrimLeft(string(head), "\ufeff \t\r\n")
	has := func(words ...string) bool {
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	}
	switch {
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return formatTar
	case text == "":
		return ""
	case text[0] == '<' && has("<oval_definitions"):
		return formatOVAL
	case text[0] == '#' && has("\ncve,epss"), strings.HasPrefix(text, "cve,epss"):
		return formatEPSS
	case text[0] != '{':
		return ""
	case has(`"csaf_version"`), has(`"product_tree"`):
		return formatVEX
	case has(`"catalogVersion"`), has(`"cveID"`):
		return formatKEV
	case has(`"distroversion"`), has(`"reponame"`):
		return formatSecDB
	case has(`"releases"`, `"repositories"`), has(`"releases"`, `"status"`, `"urgency"`):
		return formatTracker
	case has(`"schema_version"`), has(`"affected"`), has(`"id"`, `"modified"`), has(`"id"`, `"details"`):
		return formatOSV
	}
	return ""
}

// decompress undoes gzip, bzip2, xz or zstd, told by the first bytes, and bounds what
// comes out. It closes f.
func decompress(f io.ReadCloser) (io.ReadCloser, error) {
	return unpack(f, 1)
}

func unpack(f io.ReadCloser, layer int) (io.ReadCloser, error) {
	r := bufio.NewReaderSize(f, 64<<10)
	head, _ := r.Peek(6)
	var out io.Reader = r
	var err error
	closers := []func(){func() { _ = f.Close() }}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		out, err = gzip.NewReader(r)
	case bytes.HasPrefix(head, []byte("BZh")):
		out = bzip2.NewReader(r)
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		out, err = xz.ReaderConfig{DictCap: 64 << 20}.NewReader(r)
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var d *zstd.Decoder
		d, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
		if err == nil {
			out = d
			closers = append(closers, d.Close)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	u := &unpacked{io.LimitedReader{R: out, N: maxFeed}, closers}
	if out != io.Reader(r) && layer < 2 {
		return unpack(u, layer+1) // a server may compress once more what is compressed already
	}
	return u, nil
}

type unpacked struct {
	io.LimitedReader
	closers []func()
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.LimitedReader.Read(p)
	if err == io.EOF && u.N <= 0 {
		err = fmt.Errorf("more than %d bytes uncompressed: %w", int64(maxFeed), errTooLarge)
	}
	return n, err
}

func (u *unpacked) Close() error {
	for i := len(u.closers) - 1; i >= 0; i-- {
		u.closers[i]()
	}
	return nil
}
