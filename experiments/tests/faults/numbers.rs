//! Numbers that are none: the run stops, says where, and keeps what was good.

use l0_record::{Status, read_run};

use crate::bench::{Bench, fails, program};
use crate::common::{ok, stdout};

#[test]
fn a_loss_that_is_no_number_stops_the_run_with_step_and_quantity_and_the_last_good_checkpoint_stays() {
    let bench = Bench::small(4);
    let printed = stdout(&ok(program("reproduce-mnist").args(["mlp-l0", "--epochs", "4", "--print-config"])));
    // Two good epochs, then steps of 1e30.
    let constant = "[training.schedule]\nkind = \"constant\"";
    let steps = "[training.schedule]\nkind = \"steps\"\nafter = [2]\nfactor = 1e33";
    let config = printed.replace("\"mlp-l0\"", "\"wild\"").replace(constant, steps);
    assert_ne!(config, printed.replace("\"mlp-l0\"", "\"wild\""), "{printed}");
    std::fs::write(bench.path("wild.toml"), config).unwrap();
    let train = || {
        let mut command = program("train");
        command.arg(bench.path("wild.toml"));
        command.arg("--data").arg(bench.data()).arg("--out").arg(bench.path("runs"));
        command
    };
    fails(&mut train(), &["error: ", " is ", " at step ", " of epoch 3; lower the learning rate"]);
    let run = bench.path("runs").join("wild/seed-1");
    let read = read_run(&run).unwrap();
    assert_eq!((read.header.status, read.rows.len()), (Status::Failed, 2));
    assert!(read.header.message.unwrap().contains(" of epoch 3"));
    let checkpoints = std::fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut checkpoints: Vec<String> = checkpoints.map(|name| name.to_string_lossy().into_owned()).collect();
    checkpoints.sort();
    assert_eq!(checkpoints, ["epoch-00001-step-0000000.safetensors", "epoch-00002-step-0000000.safetensors"]);
    // Whoever tries again meets the same end, from the good checkpoint.
    fails(&mut train(), &["going on after 2 epochs", " of epoch 3; lower the learning rate"]);
}
