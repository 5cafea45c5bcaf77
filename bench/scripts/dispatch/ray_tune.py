"""Empty trials with Ray Tune on this machine: prints one line of JSON with the seconds that they took, Ray's own start not counted."""

import argparse
import json
import sys
import time

import ray
from ray import tune


def trial(config):
    tune.report({"loss": config["rate"]})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--parallel", type=int, required=True)
    parser.add_argument("--reuse", action="store_true", help="one process runs several trials")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--scratch", required=True)
    arguments = parser.parse_args()
    ray.init(num_cpus=arguments.parallel, include_dashboard=False, log_to_driver=False, _temp_dir=arguments.scratch)
    since = time.monotonic()
    tuner = tune.Tuner(
        trial,
        param_space={"rate": tune.uniform(0.0, 1.0)},
        tune_config=tune.TuneConfig(
            num_samples=arguments.trials,
            max_concurrent_trials=arguments.parallel,
            reuse_actors=arguments.reuse,
            metric="loss",
            mode="min",
        ),
        run_config=tune.RunConfig(storage_path=arguments.folder, name="empty", verbose=0),
    )
    results = tuner.fit()
    seconds = time.monotonic() - since
    values = [result.metrics["loss"] for result in results if result.metrics]
    print(json.dumps({"seconds": seconds, "trials": len(values), "errors": results.num_errors}), flush=True)
    ray.shutdown()
    return 0 if len(set(values)) == arguments.trials else 1


if __name__ == "__main__":
    sys.exit(main())
