package mlflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/registry"
)

// importModel copies one model. The search that found it may have left out its
// aliases.
func (im *importer) importModel(ctx context.Context, found registry.Model) error {
	from, err := im.src.getModel(ctx, found.Name)
	if err != nil {
		return err
	}
	to, err := im.dst.Model(ctx, from.Name)
	if errors.Is(err, errs.ErrNotFound) {
		to, err = im.dst.CreateModel(ctx, registry.Model{Name: from.Name, Description: from.Description, Tags: from.Tags})
	}
	if err != nil {
		return err
	}
	if set := newer(from.Tags, to.Tags); len(set) > 0 || from.Description != to.Description {
		u := registry.ModelUpdate{SetTags: set, By: im.by()}
		if from.Description != to.Description {
			u.Description = &from.Description
		}
		if err := im.refused(ctx, Difference{Model: from.Name, What: "description and tags"}, im.dst.UpdateModel(ctx, from.Name, u)); err != nil {
			return err
		}
	}
	numbers, err := im.importVersions(ctx, &from, to.Latest)
	if err != nil {
		return err
	}
	for _, a := range from.Aliases {
		d := Difference{Model: from.Name, What: fmt.Sprintf("alias %q", a.Alias), Source: fmt.Sprintf("is at version %d", a.Number)}
		if err := im.refused(ctx, d, im.importAlias(ctx, from.Name, a.Alias, numbers[a.Number], d)); err != nil {
			return err
		}
	}
	im.count(func(p *ImportProgress, r *ImportResult) {
		r.Models++
		p.Models++
		p.Model, p.Version = from.Name, 0
	})
	return nil
}

// newer returns the tags that are not yet so in to.
func newer(from, to map[string]string) map[string]string {
	set := map[string]string{}
	for key, value := range from {
		if old, ok := to[key]; !ok || old != value {
			set[key] = value
		}
	}
	return set
}

// importAlias moves an alias to version n, unless someone else has moved it
// since an import did.
func (im *importer) importAlias(ctx context.Context, name, alias string, n int, d Difference) error {
	if n == 0 {
		d.Destination = "does not have that version"
		im.differ(d)
		return nil
	}
	have, err := im.dst.Alias(ctx, name, alias)
	switch {
	case errors.Is(err, errs.ErrNotFound):
		have = 0
	case err != nil:
		return err
	case have == n:
		return nil
	}
	for last, err := range im.dst.History(ctx, name, alias) {
		if err != nil {
			return err
		}
		if last.By != im.by() {
			d.Destination = fmt.Sprintf("was moved to version %d by %q", last.To, mlflowclient.Shown(last.By))
			im.differ(d)
			return nil
		}
		break
	}
	err = im.dst.SetAlias(ctx, name, alias, n, &registry.AliasOptions{Expect: have, By: im.by(), Reason: "as in the source"})
	if err == nil {
		im.count(func(_ *ImportProgress, r *ImportResult) { r.Aliases++ })
	}
	return err
}

// versionsOf lists the versions of a model in the order of their numbers.
func (im *importer) versionsOf(ctx context.Context, name string) ([]*registry.Version, error) {
	var all []*registry.Version
	q := registry.VersionQuery{Name: name, Page: registry.Page{Max: 1000}}
	for {
		page, next, err := im.src.SearchVersions(ctx, q)
		if err == nil && next != "" && next == q.Page.Token {
			err = fmt.Errorf("the server answered the same page token twice: %w", errs.ErrUnsupported)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if q.Page.Token = next; next == "" {
			break
		}
	}
	slices.SortFunc(all, func(a, b *registry.Version) int { return cmp.Compare(a.Number, b.Number) })
	return slices.CompactFunc(all, func(a, b *registry.Version) bool { return a.Number == b.Number }), nil
}

// importVersions copies the versions in the order of their numbers and returns
// which number each has in the destination.
func (im *importer) importVersions(ctx context.Context, from *registry.Model, latest int) (map[int]int, error) {
	versions, err := im.versionsOf(ctx, from.Name)
	if err != nil {
		return nil, err
	}
	made := map[string]*registry.Version{} // by key
	for v, err := range im.dst.SearchVersions(ctx, registry.VersionQuery{Name: from.Name, View: registry.All}) {
		if err != nil {
			return nil, err
		}
		if v.Key != "" {
			made[v.Key] = v
		}
	}
	numbers := map[int]int{}
	for _, v := range versions {
		numbers[v.Number] = 0
	}
	for n := range latest {
		// One that a crash left undeleted, see fillGap: any other has a source.
		v := made[im.key(n+1)]
		if _, has := numbers[n+1]; v == nil || has || v.Deleted || v.Source != "" {
			continue
		}
		if err := im.fillGap(ctx, from.Name, n+1); err != nil {
			return nil, err
		}
	}
	for _, v := range versions {
		if v.Number-latest > maxGap {
			im.differ(Difference{Model: v.Name, Version: v.Number, What: "number", Source: strconv.Itoa(v.Number), Destination: fmt.Sprintf("is at %d, too far off", latest)})
			continue
		}
		// A number that the source has deleted is used up here as well.
		for gap := latest + 1; gap < v.Number && made[im.key(v.Number)] == nil; gap++ {
			if err := im.fillGap(ctx, v.Name, gap); err != nil {
				return nil, err
			}
			latest = gap
		}
		to, err := im.importVersion(ctx, v, made[im.key(v.Number)])
		if err := im.refused(ctx, Difference{Model: v.Name, Version: v.Number, What: "version"}, err); err != nil {
			return nil, err
		}
		if to == nil {
			continue
		}
		numbers[v.Number] = to.Number
		latest = max(latest, to.Number)
		if to.Number != v.Number {
			im.differ(Difference{Model: v.Name, Version: v.Number, What: "number", Source: strconv.Itoa(v.Number), Destination: strconv.Itoa(to.Number)})
		}
		im.count(func(p *ImportProgress, _ *ImportResult) {
			p.Versions++
			p.Model, p.Version = v.Name, v.Number
		})
	}
	return numbers, nil
}

// key is that of an imported version, by which the next import knows it. It
// counts within its model.
func (im *importer) key(number int) string {
	return im.opts.Source + "#" + strconv.Itoa(number)
}

// fillGap makes and deletes a version, so that the next has the number of the
// source.
func (im *importer) fillGap(ctx context.Context, name string, number int) error {
	v, err := im.dst.Declare(ctx, name, registry.Draft{
		Key: im.key(number), Description: "Deleted before it was imported.", User: cutBytes(im.by(), 255),
	}, false)
	if err != nil {
		return err
	}
	if v.Deleted {
		return nil
	}
	return im.dst.UpdateVersion(ctx, name, v.Number, registry.VersionUpdate{Deleted: new(true), By: im.by(), Reason: "deleted in the source"})
}

// importVersion copies one version; to is what an earlier import made of it.
func (im *importer) importVersion(ctx context.Context, from, to *registry.Version) (*registry.Version, error) {
	d := Difference{Model: from.Name, Version: from.Number, What: "files"}
	fresh := to == nil
	if fresh || im.opts.Recheck || to.Status == registry.Pending && from.Status == registry.Ready {
		var err error
		if to, err = im.copyVersion(ctx, from, to, d); err != nil {
			return nil, err
		}
	} else if len(to.Files) == 0 && to.Status == registry.Ready && !isPrompt(from.Tags) {
		d.Source, d.Destination = fmt.Sprintf("has them at %q", mlflowclient.Shown(from.Source)), "has none, an earlier import did not reach them"
		im.differ(d)
	}
	if to.Deleted {
		d.What, d.Source, d.Destination = "version", "has it", "has deleted it since it was imported"
		im.differ(d)
		return nil, nil //nolint:nilnil // there is none, and that was told
	}
	u := registry.VersionUpdate{SetTags: newer(from.Tags, to.Tags), By: im.by()}
	if from.Description != to.Description {
		u.Description = &from.Description
	}
	if from.Stage != to.Stage && !(from.Stage == registry.StageNone && to.Stage == "") {
		u.Stage = from.Stage
	}
	if from.Status == registry.Failed && to.Status == registry.Pending {
		u.Status, u.StatusMessage = registry.Failed, from.StatusMessage
	}
	if len(u.SetTags) > 0 || u.Description != nil || u.Stage != "" || u.Status != "" {
		if err := im.dst.UpdateVersion(ctx, to.Name, to.Number, u); err != nil {
			return to, im.refused(ctx, Difference{Model: from.Name, Version: from.Number, What: "description, tags and stage"}, err)
		}
	}
	if err := im.compare(ctx, from, to.Number); err != nil {
		return nil, err
	}
	im.count(func(_ *ImportProgress, r *ImportResult) {
		if fresh {
			r.Versions++
		} else {
			r.Skipped++
		}
	})
	return to, nil
}

// copyVersion makes the version, or compares it with what an earlier import
// made.
func (im *importer) copyVersion(ctx context.Context, from, to *registry.Version, d Difference) (*registry.Version, error) {
	draft := registry.Draft{
		Source: from.Source, Run: from.Run, LoggedModel: from.LoggedModel, User: from.User, Description: from.Description,
		Tags: maps.Clone(from.Tags), Key: im.key(from.Number),
	}
	if from.Status != registry.Ready {
		if from.Status == registry.Pending {
			d.What, d.Source, d.Destination = "status", "is still being registered", "waits for the next import"
			im.differ(d)
		}
		if to == nil {
			return im.dst.Declare(ctx, from.Name, draft, true)
		}
		return to, nil
	}
	files, err := im.open(ctx, from)
	if err != nil && !errors.Is(err, errs.ErrUnsupported) && !errors.Is(err, errs.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil || files == nil {
		if err != nil {
			d.Source, d.Destination = fmt.Sprintf("has them at %q", mlflowclient.Shown(from.Source)), err.Error()
			im.differ(d)
		}
		if to != nil {
			return to, nil
		}
		return im.dst.Declare(ctx, from.Name, draft, false)
	}
	m, err := registry.ReadMLmodel(files)
	if err == nil {
		run, model := draft.Run, draft.LoggedModel
		err = m.Fill(&draft)
		draft.Run, draft.LoggedModel = run, model // the server's word
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		if !errors.Is(err, errs.ErrInvalid) {
			return nil, err
		}
		im.differ(Difference{Model: from.Name, Version: from.Number, What: "MLmodel", Source: "has it", Destination: err.Error()})
	}
	var v *registry.Version
	if to != nil && to.Status == registry.Pending {
		if err = im.dst.Complete(ctx, to.Name, to.Number, files); err == nil {
			v, err = im.dst.Version(ctx, to.Name, to.Number)
		}
	} else {
		draft.Files = files
		v, err = im.dst.Register(ctx, from.Name, draft)
	}
	if err != nil {
		return nil, err
	}
	im.count(func(p *ImportProgress, r *ImportResult) {
		files := int64(len(v.Files))
		var bytes int64
		for _, f := range v.Files {
			bytes += f.Size
		}
		p.Files, p.Bytes = p.Files+files, p.Bytes+bytes
		r.Files, r.Bytes = r.Files+files, r.Bytes+bytes
	})
	return v, nil
}

// open returns the files of a version of the source, nil for a prompt.
func (im *importer) open(ctx context.Context, from *registry.Version) (fs.FS, error) {
	if isPrompt(from.Tags) {
		return nil, nil //nolint:nilnil // documented
	}
	files, err := im.src.Files(ctx, from.Name, from.Number)
	if errors.Is(err, errs.ErrUnsupported) && im.opts.OpenFrom != nil {
		uri, err := im.src.DownloadURI(ctx, from.Name, from.Number)
		if err != nil {
			return nil, err
		}
		return im.opts.OpenFrom(ctx, uri)
	}
	return files, err
}

// compare reads a version back.
func (im *importer) compare(ctx context.Context, from *registry.Version, number int) error {
	to, err := im.dst.Version(ctx, from.Name, number)
	if err != nil {
		return err
	}
	differ := func(what, source, destination string) {
		if source != destination {
			im.differ(Difference{
				Model: from.Name, Version: from.Number, What: what,
				Source: strconv.Quote(mlflowclient.Shown(source)), Destination: strconv.Quote(mlflowclient.Shown(destination)),
			})
		}
	}
	differ("description", from.Description, to.Description)
	differ("source", from.Source, to.Source)
	differ("run", from.Run, to.Run)
	differ("logged model", from.LoggedModel, to.LoggedModel)
	differ("stage", from.Stage, cmp.Or(to.Stage, registry.StageNone))
	for _, key := range slices.Sorted(maps.Keys(from.Tags)) {
		differ("tag "+strconv.Quote(mlflowclient.Shown(key)), from.Tags[key], to.Tags[key])
	}
	return nil
}
