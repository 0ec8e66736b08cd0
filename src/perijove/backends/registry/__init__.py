"""An environment as an image in a registry: folders packed as layers, without a container engine or a build service.

`publishing` is the whole of it, of an environment's `contents`. `packing` writes a folder as a layer, the same bytes
for the same folder; `distributions` makes layers of an environment so that those which are alike share most of them;
`client` moves what the registry has not, by `credentials`.
"""
