# The two commands of this repository are `make demo` and `make test`; the rest are their parts.
.DEFAULT_GOAL := help
.PHONY: help setup dashboard build demo test clean

help:                   ## show this list
	@sed -n 's/^\([a-z]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup:                  ## install from apt what is missing (needs root)
	@scripts/setup.sh

dashboard: setup        ## build the dashboard if its sources changed (needs Node.js 20.19 or newer)
	@scripts/dashboard.sh

build: setup dashboard  ## build every program
	cargo build --workspace --locked

demo: build             ## see Moat stop real attacks on a real nginx container (DEMO_EXIT=1 ends by itself)
	@cargo xtask demo

test: setup dashboard   ## check and test everything that this machine can run
	@scripts/test.sh

clean:                  ## remove what the build and the demo made
	cargo clean
	rm -rf .demo .tools ui/dist ui/node_modules
