// Package deploy keeps the models of a serve.Server at the versions that a
// registry's aliases name.
//
//	keeper, err := deploy.New(registry, []deploy.Model{
//		{Name: "fraud", Runtime: trees.Runtime{}, Alias: "champion", Beside: []string{"challenger"}},
//	}, &deploy.Options{Dir: "/var/lib/shop/models"})
//	server := serve.New(&serve.Options{Repository: keeper, Authorize: onlyAdmins})
//	err = keeper.Run(ctx, server) // Until ctx ends.
//
// When an alias moves, the version's files are fetched and compared with their
// digests, the Runtime loads them, the model is compared with the signature on
// record, warmed, and has to reproduce its golden answers; only then it takes
// the place of the version before, between two requests. A version that fails in
// any of these never answers: the one before goes on, Options.OnError is told,
// and unless the version itself is at fault it is tried again.
//
// With Options.Dir the files are kept on disk, so that a service that restarts
// while the registry is down answers with what it answered last.
//
// With Options.Memory the models that have not been asked for the longest are
// unloaded when the others need their room, and loaded again on the first
// request ([Keeper.OnDemand]).
//
// The registry is a [Source]: two methods of standard types, which
// registry.Registry has. This package links the standard library only.
package deploy
