//! Pictures as files have them: PNG, JPEG, WebP.
#![no_main]

use std::sync::Once;

use l0_data::Picture;
use libfuzzer_sys::fuzz_target;

static QUIET: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    // A decoder may panic, which ours catches; libFuzzer's hook would end the process before that.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    if let Ok(picture) = Picture::open(bytes) {
        let (h, w) = picture.size();
        assert_eq!(picture.planes(3).len(), 3 * h * w);
        assert_eq!(picture.fitted(3, 8).unwrap().len(), 3 * 8 * 8);
    }
});
