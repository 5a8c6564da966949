package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Bounds of listings.
const (
	maxPage  = 8 << 20 // bytes of one page
	maxPages = 20_000
	pageSize = 200
)

// Names as the distribution specification allows them.
var (
	repositoryName = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagName        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestName     = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// attached: a tag under which tools keep signatures and attestations of the digest it
// names, where a registry has no better place for them.
var attached = regexp.MustCompile(`^sha256-[0-9a-f]{64}(\.[a-z]+)?$`)

func validRepository(s string) bool { return len(s) <= 255 && repositoryName.MatchString(s) }

// tag is one entry of a listing.
type tag struct{ name, digest string }

// repositories lists what to walk, in order; whole says that it is all there is.
func (w *walk) repositories(ctx context.Context) (repos []string, whole bool, err error) {
	if len(w.opt.Repositories) > 0 && !slices.ContainsFunc(w.opt.Repositories, wild) {
		repos = slices.Clone(w.opt.Repositories)
		slices.Sort(repos)
		return slices.Compact(repos), false, nil
	}
	all, err := w.catalogue(ctx, "/v2/_catalog")
	if err != nil && ctx.Err() == nil && w.client.Azure(w.opt.Host) {
		var again error
		if all, again = w.catalogue(ctx, "/acr/v1/_catalog"); again == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("catalogue of %s: %w; where a registry shows none, name the repositories instead", w.opt.Host, err)
	}
	odd := 0
	for _, r := range all {
		switch {
		case !validRepository(r):
			odd++
		case matchAny(w.opt.Repositories, r, true) && !matchAny(w.opt.Exclude, r, false):
			repos = append(repos, r)
		}
	}
	if odd > 0 {
		w.gap("catalogue of "+w.opt.Host, fmt.Sprintf("%d entries are no names of repositories", odd), "")
	}
	slices.Sort(repos)
	return slices.Compact(repos), len(w.opt.Repositories) == 0 && len(w.opt.Exclude) == 0, nil
}

func (w *walk) catalogue(ctx context.Context, path string) ([]string, error) {
	var all []string
	get := func(p string) (*http.Response, error) { return w.client.GetRegistry(ctx, w.opt.Host, p) }
	err := pages(get, path+"?n="+strconv.Itoa(pageSize), func(b []byte) (bool, error) {
		var page struct{ Repositories []string }
		if err := json.Unmarshal(b, &page); err != nil {
			return false, fmt.Errorf("not a catalogue: %w", err)
		}
		if all = append(all, page.Repositories...); len(all) > MaxRepositories {
			return false, fmt.Errorf("more than %d repositories", MaxRepositories)
		}
		return true, nil
	})
	return all, err
}

// tags lists a repository; all says that nothing was left out.
func (w *walk) tags(ctx context.Context, repo name.Repository) (tags []tag, all bool, err error) {
	get := func(p string) (*http.Response, error) { return w.client.GetPath(ctx, repo, p) }
	if w.client.Azure(w.opt.Host) {
		tags, err = w.azureTags(get, repo)
		if err == nil {
			return tags, w.opt.Newest <= 0 || len(tags) < w.opt.Newest, nil
		}
		if ctx.Err() != nil {
			return nil, false, err
		}
		tags = nil // the common listing may still work
	}
	err = pages(get, "/v2/"+repo.RepositoryStr()+"/tags/list?n="+strconv.Itoa(pageSize), func(b []byte) (bool, error) {
		var page struct{ Tags []string }
		if err := json.Unmarshal(b, &page); err != nil {
			return false, fmt.Errorf("not a list of tags: %w", err)
		}
		for _, t := range page.Tags {
			if tagName.MatchString(t) && !attached.MatchString(t) {
				tags = append(tags, tag{name: t})
			}
		}
		if len(tags) > MaxTags {
			return false, fmt.Errorf("more than %d tags", MaxTags)
		}
		return true, nil
	})
	if err != nil {
		return nil, false, err
	}
	slices.SortFunc(tags, func(a, b tag) int { return strings.Compare(a.name, b.name) })
	tags = slices.Compact(tags)
	if w.opt.Newest > 0 && len(tags) > w.opt.Newest {
		w.gap(repositoryPath(repo, w.opt.Host), "the registry does not tell which tags are the newest: all were taken", "")
	}
	return tags, true, nil
}

// azureTags is Azure Container Registry's own listing, which knows digests and ages.
func (w *walk) azureTags(get func(string) (*http.Response, error), repo name.Repository) ([]tag, error) {
	var tags []tag
	err := pages(get, "/acr/v1/"+repo.RepositoryStr()+"/_tags?orderby=timedesc&n="+strconv.Itoa(pageSize), func(b []byte) (bool, error) {
		var page struct {
			Tags []struct{ Name, Digest string }
		}
		if err := json.Unmarshal(b, &page); err != nil {
			return false, fmt.Errorf("not a list of tags: %w", err)
		}
		for _, t := range page.Tags {
			if !tagName.MatchString(t.Name) || attached.MatchString(t.Name) || t.Digest != "" && !digestName.MatchString(t.Digest) {
				continue
			}
			// Tags that are not asked for must not use up the newest ones.
			if w.opt.Newest > 0 && !matchAny(w.opt.Tags, t.Name, true) {
				continue
			}
			tags = append(tags, tag{name: t.Name, digest: t.Digest})
			if w.opt.Newest > 0 && len(tags) == w.opt.Newest {
				return false, nil
			}
		}
		if len(tags) > MaxTags {
			return false, fmt.Errorf("more than %d tags", MaxTags)
		}
		return true, nil
	})
	slices.SortStableFunc(tags, func(a, b tag) int { return strings.Compare(a.name, b.name) })
	return tags, err
}

// pages follows the Link headers of a listing until take says no more.
func pages(get func(string) (*http.Response, error), path string, take func([]byte) (bool, error)) error {
	seen := map[string]bool{}
	for range maxPages {
		if seen[path] {
			return errors.New("the listing's pages lead back to one that was read")
		}
		seen[path] = true
		b, next, err := page(get, path)
		if err != nil {
			return err
		}
		more, err := take(b)
		if err != nil || !more || next == "" {
			return err
		}
		path = next
	}
	return fmt.Errorf("more than %d pages", maxPages)
}

func page(get func(string) (*http.Response, error), path string) (body []byte, next string, err error) {
	res, err := get(path)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(res.Body, maxPage+1)); err != nil {
		return nil, "", fmt.Errorf("listing broke off: %w", err)
	}
	if len(body) > maxPage {
		return nil, "", fmt.Errorf("one page of the listing is larger than %d MiB", maxPage>>20)
	}
	return body, nextPage(path, res.Header.Values("Link")), nil
}

// nextPage reads rel="next" of Link headers. Only path and query count: a listing does
// not lead to other hosts.
func nextPage(from string, headers []string) string {
	base, err := url.Parse(from)
	if err != nil {
		return ""
	}
	for _, h := range headers {
		for len(h) > 0 && len(h) < 16<<10 {
			_, rest, ok := strings.Cut(h, "<")
			if !ok {
				break
			}
			target, after, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			params := after
			if i := strings.IndexByte(after, '<'); i >= 0 {
				params = after[:i]
			}
			h = after
			if p := strings.ToLower(strings.ReplaceAll(params, " ", "")); !strings.Contains(p, `rel="next"`) && !strings.Contains(p, "rel=next") {
				continue
			}
			u, err := base.Parse(target)
			if err != nil || !strings.HasPrefix(u.Path, "/") {
				continue
			}
			return u.RequestURI()
		}
	}
	return ""
}
