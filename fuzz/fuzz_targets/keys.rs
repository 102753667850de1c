//! Any text as a file with keys, in each of its languages; what was read can be written and read again.
#![no_main]

use espial::dialect::key_file::{KeyRow, key_file};
use espial::dialect::{Keys, esp_sa, iproute2, left_out_of_sa, setkey};
use espial::model::Sa;
use espial::model::text::harmless;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(errors) = setkey::parse(text) {
        for error in errors {
            let shown = error.render("file", text);
            assert!(shown.lines().all(|line| harmless(line) == line), "{shown:?}");
        }
    }
    let rows = match key_file(text) {
        Ok(rows) => rows,
        Err(errors) => {
            assert!(errors.iter().all(|error| harmless(&error.to_string()) == error.to_string()), "{errors:?}");
            return;
        }
    };
    for row in rows {
        let KeyRow::Sa(sa) = row else { continue };
        let spec = sa.to_spec();
        if let Ok(row) = esp_sa::row(&spec, None) {
            assert!(key_file(&row).is_ok_and(|rows| rows.len() == 1), "{}", *row);
        }
        let line = iproute2::sa(&spec, Keys::Show);
        // Names that are no single word, and marks that look at no bit, cannot be written.
        if let Ok(again) = key_file(&line)
            && left_out_of_sa(&sa).is_empty()
        {
            let [KeyRow::Sa(again)] = &again[..] else { panic!("{}", *line) };
            let identity = |sa: &Sa| (sa.id(), sa.source, sa.mode, sa.reqid, sa.algorithms.is_none());
            assert_eq!(identity(again), identity(&sa));
        }
    }
});
