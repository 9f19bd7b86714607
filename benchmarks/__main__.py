"""Every benchmark, one after the other."""

from benchmarks import local_api, manifest, node, runs, startup

for module in (manifest, startup, local_api, node, runs):
    print(f"# {(module.__doc__ or '').splitlines()[0]}")
    module.main()
