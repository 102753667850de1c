//! One picture of the console with 100, 10,000 and 100,000 SAs; and the same with every column, every SA marked, and the
//! question whether they are all to go.
//!
//! The cost must not grow with the SAD. To reach: 100,000 SAs at most twice the time of 100, and under 4 ms.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros, and a bench that fails should say where")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use crossterm::event::{KeyCode, KeyEvent};
use espial::console::clock::Clock;
use espial::console::columns::{ChosenColumns, Columns, SaColumn};
use espial::console::event::{Event, Now};
use espial::console::state::{Drawn, Setting, State};
use espial::console::theme::Theme;
use espial::console::view;
use espial::kernel::Update;
use espial::kernel::follow::Snapshot;
use espial::model::{AlgorithmName, IpsecProtocol, Sa, SaSpec, Secret, Spi, Transform};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn sas(count: u32) -> Vec<Sa> {
    let name = AlgorithmName::from_kernel("rfc4106(gcm(aes))");
    (0..count)
        .map(|n| {
            let host = |net: u32| std::net::Ipv4Addr::from((net << 24) | (n / 2)).into();
            let mut spec = SaSpec::new(host(10), host(11), IpsecProtocol::Esp, Spi(0x1000 + n));
            let key = Secret::copy_from(&[7; 36]);
            spec.algorithms.aead = Some(Transform { name: name.clone(), key, icv_bits: 128 });
            Sa::from_spec(&spec, 1_795_450_902)
        })
        .collect()
}

fn console(count: u32, setting: Setting, keys: &str) -> State {
    let now = Now { unix_ms: 1_795_450_999_000, uptime_ms: 5000 };
    let mut state = State::new(setting, Clock::utc(), now);
    state.drawn(Drawn { usable: true, ..Drawn::default() });
    let snapshot = Snapshot { sas: sas(count), ..Snapshot::default() };
    state.update(Event::Kernel(Update::Snapshot(snapshot)), now, &mut Vec::new());
    for key in keys.chars() {
        let key = KeyEvent::from(KeyCode::Char(key));
        state.update(Event::Key(key), now, &mut Vec::new());
    }
    state
}

fn frames(criterion: &mut Criterion) {
    let theme = Theme::load("dark", None).unwrap();
    let every = ChosenColumns { sas: Some(SaColumn::ALL.to_vec()), ..ChosenColumns::default() };
    for (name, columns, keys) in [("draw_sas", ChosenColumns::default(), ""), ("draw_marked_sas", every, "*d")] {
        draw(criterion, &theme, name, &columns, keys);
    }
}

fn draw(criterion: &mut Criterion, theme: &Theme, name: &str, columns: &ChosenColumns, keys: &str) {
    let mut group = criterion.benchmark_group(name);
    for count in [100, 10_000, 100_000] {
        let state = console(count, Setting { columns: columns.clone(), ..Setting::default() }, keys);
        let mut terminal = Terminal::new(TestBackend::new(200, 50)).unwrap();
        group.bench_with_input(BenchmarkId::from_parameter(count), &count, |bencher, _| {
            bencher.iter(|| {
                let mut drawn = None;
                terminal.draw(|frame| drawn = Some(view::draw(frame, &state, theme))).map(drop).unwrap();
                drawn
            });
        });
    }
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
