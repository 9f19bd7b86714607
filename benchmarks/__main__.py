"""Every benchmark, one after the other."""

from benchmarks import manifest, runs, startup

for module in (manifest, startup, runs):
    print(f"# {(module.__doc__ or '').splitlines()[0]}")
    module.main()
