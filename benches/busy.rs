//! How soon a key is answered on a console with 100,000 SAs and 100,000 policies while 1,000 SAs a second come and go:
//! the key taken in and the picture drawn, behind all the news that came before it.
//!
//! To reach: 16 ms at the 99th percentile. Every kernel's word is news of its own here, as at the worst.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails should say where, and prints a table")]

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use espial::console::clock::Clock;
use espial::console::event::{Event, Now};
use espial::console::state::{Setting, State};
use espial::console::theme::Theme;
use espial::console::view;
use espial::kernel::Update;
use espial::kernel::follow::Snapshot;
use espial::model::{
    AlgorithmName, IpsecProtocol, KernelEvent, Policy, PolicyDirection, PolicySpec, Prefix, Sa, SaSpec, Secret,
    Selector, Spi, Transform,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const ROWS: u32 = 100_000;
const KEYS: u32 = 1000;
/// Between two keys, in milliseconds: as many SAs come and go.
const PAUSE: u32 = 50;

fn sa(n: u32) -> Sa {
    let host = |net: u32| std::net::Ipv4Addr::from((net << 24) | (n / 2)).into();
    let mut spec = SaSpec::new(host(10), host(11), IpsecProtocol::Esp, Spi(0x1000 + n));
    let name = AlgorithmName::from_kernel("rfc4106(gcm(aes))");
    spec.algorithms.aead = Some(Transform { name, key: Secret::copy_from(&[7; 36]), icv_bits: 128 });
    Sa::from_spec(&spec, 1_795_450_902)
}

fn policy(n: u32) -> Policy {
    let host = |net: u32| Prefix::host(std::net::Ipv4Addr::from((net << 24) | n).into());
    Policy::from_spec(&PolicySpec::new(PolicyDirection::Out, Selector::between(host(10), host(11))), n * 8, 0)
}

fn main() {
    let theme = Theme::load("dark", None).unwrap();
    for filter in ["", "bytes < 1k and dst 11.0.0.0/16"] {
        let mut now = Now { unix_ms: 1_795_450_999_000, uptime_ms: 5000 };
        let mut state = State::new(Setting::default(), Clock::utc(), now);
        let mut commands = Vec::new();
        let mut terminal = Terminal::new(TestBackend::new(200, 50)).unwrap();
        let start = Instant::now();
        let snapshot =
            Snapshot { sas: (0..ROWS).map(sa).collect(), policies: (0..ROWS).map(policy).collect(), defaults: None };
        let made = start.elapsed();
        let start = Instant::now();
        state.update(Event::Kernel(Update::Snapshot(snapshot)), now, &mut commands);
        let mut draw = |state: &mut State| {
            let mut drawn = None;
            terminal.draw(|frame| drawn = Some(view::draw(frame, state, &theme))).map(drop).unwrap();
            state.drawn(drawn.unwrap());
        };
        draw(&mut state);
        println!("first picture {:.0} ms (the snapshot took {:.0} ms to make)", millis(start.elapsed()), millis(made));
        let press = |state: &mut State, code: KeyCode, now: Now| {
            state.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), now, &mut Vec::new());
        };
        if !filter.is_empty() {
            let start = Instant::now();
            press(&mut state, KeyCode::Char('/'), now);
            filter.chars().for_each(|c| press(&mut state, KeyCode::Char(c), now));
            press(&mut state, KeyCode::Enter, now);
            println!(
                "filter {filter:?}: {:.1} ms for each character typed",
                millis(start.elapsed() / u32::try_from(filter.len()).unwrap())
            );
        }
        let (mut answers, mut next) = (Vec::new(), ROWS);
        for key in 0..KEYS {
            let start = Instant::now();
            for _ in 0..PAUSE {
                let gone = sa(next - ROWS).id();
                let news = vec![KernelEvent::SaAdded(Box::new(sa(next))), KernelEvent::SaDeleted(gone)];
                state.update(Event::Kernel(Update::Events(news)), now, &mut commands);
                next += 1;
            }
            now.uptime_ms += u64::from(PAUSE);
            now.unix_ms += u64::from(PAUSE);
            if now.uptime_ms.is_multiple_of(1000) {
                state.update(Event::Tick, now, &mut commands);
            }
            press(&mut state, if key % 2 == 0 { KeyCode::Char('j') } else { KeyCode::PageDown }, now);
            draw(&mut state);
            answers.push(start.elapsed());
            commands.clear();
        }
        answers.sort();
        let at = |percent: usize| millis(answers[(answers.len() - 1) * percent / 100]);
        println!("a key with {PAUSE} SAs before it: median {:.1} ms, 99th percentile {:.1} ms", at(50), at(99));
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
