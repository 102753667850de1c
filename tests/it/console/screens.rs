//! Every screen as a picture, in the three sizes that matter; and that none breaks in any.

use super::{Bench, busy_kernel, no_esp};
use espial::console::event::Event;
use espial::console::theme::{Role, Theme};
use espial::model::KernelEvent;

/// What is on each picture: its name, the keys that lead there.
const PICTURES: [(&str, &str); 30] = [
    ("sas", ""),
    ("sas_whole", "<enter>"),
    ("sas_filtered", "/esp<enter>"),
    ("sas_sorting", "s"),
    ("sas_marked", " j ssjjj<enter>"),
    ("sas_columns", "CjjJ"),
    ("delete_marked_question", "  jj d"),
    ("policies_columns", "2:columns dir,src,dst,mark,if_id,limits,idle,ptype<enter>"),
    ("sa_form", "a<tab><tab>10.9.0<tab><tab>7"),
    ("flush_question", "F"),
    ("policies", "2"),
    ("policies_whole", "2jj<enter>"),
    ("policy_form", "2a"),
    ("policy_review", "2a<tab>10.1.0.0/24<tab>10.3.0.0/24<ctrl-s>"),
    ("policy_edited", "2e<tab><tab><tab><tab><tab><tab><ctrl-n>"),
    ("defaults_review", ":defaults<enter><right><ctrl-s>"),
    ("pair_form", "2A"),
    ("pair_removal", "2A<right><ctrl-s>"),
    ("pair_removal_on_trial", "2A<right><ctrl-s>y"),
    ("packets", "3"),
    ("packet_whole", "3kk<enter>"),
    ("interfaces", "3i"),
    ("peers", "3P"),
    ("check_form", "3kc"),
    ("check", "3kc<enter>"),
    ("check_form_tunnel", "/c0ffee01<enter>gc<backtab><backtab><left>"),
    ("check_tunnel", "2/10.2.0.0<enter>gc<enter>"),
    ("events", "4"),
    ("help", "?"),
    ("command_refused", ":nonsense<enter>"),
];

fn busy() -> Bench {
    let mut bench = Bench::with(busy_kernel, |_| {});
    let event =
        KernelEvent::Unreadable { message_type: 0x7f, reason: "an SA needs 224 bytes, the message has 3".into() };
    bench.kernel.say(&event);
    bench.settle();
    bench.begin_packets();
    bench
}

#[test]
fn every_screen_at_every_size() {
    for (width, height) in [(80, 24), (120, 40), (200, 50)] {
        for (name, keys) in PICTURES {
            let mut bench = busy().sized(width, height);
            bench.keys(keys);
            insta::assert_snapshot!(format!("{name}_{width}x{height}"), bench.screen());
        }
    }
}

#[test]
fn empty_and_unsupported() {
    let mut bench = Bench::with(|_| {}, |setting| setting.complaints = vec!["Without CAP_NET_RAW, no packets.".into()]);
    bench.event(Event::Supported(no_esp()));
    let mut bench = bench.sized(80, 24);
    insta::assert_snapshot!("empty_80x24", bench.screen());
}

#[test]
fn nothing_breaks_in_any_size() {
    for (_, keys) in PICTURES {
        let mut bench = busy();
        bench.keys(keys);
        for width in [1, 2, 3, 5, 20, 39, 40, 41, 60, 79, 161, 500] {
            for height in [1, 2, 3, 9, 10, 11, 13, 15, 24, 200] {
                bench = bench.sized(width, height);
                bench.screen();
            }
        }
    }
}

#[test]
fn alarms_are_words_in_every_theme() {
    for name in espial::console::theme::names(None) {
        let theme = Theme::load(&name, None).unwrap();
        let mut bench = busy();
        bench.sees("errors 12").sees("expiring 1m");
        let buffer = bench.draw_with(&theme);
        let styled = |role: Role| {
            let style = theme.style(role);
            buffer.content.iter().any(|cell| {
                cell.symbol().trim() != ""
                    && style.fg.is_none_or(|fg| cell.fg == fg)
                    && style.bg.is_none_or(|bg| cell.bg == bg)
                    && cell.modifier.contains(style.add_modifier)
            })
        };
        assert!(styled(Role::Caution) && styled(Role::Selected), "{name}");
    }
}

#[test]
fn the_theme_without_colours_draws_none() {
    use ratatui::style::Color;
    let theme = Theme::load("mono", None).unwrap();
    for (_, keys) in PICTURES {
        let mut bench = busy();
        bench.keys(keys);
        let buffer = bench.draw_with(&theme);
        assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    }
}
