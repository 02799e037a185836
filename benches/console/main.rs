//! What the console costs: a frame under load, a key on its way to the terminal, a minute in which nothing happens, memory, and bytes.
//!
//! `frames` measures the console's own work (taking events in, bringing what is seen up to date, drawing, and encoding what has changed) in this
//! process; `terminal` starts the real program in a pseudo-terminal and reads what it writes. `cargo bench --bench console` prints the tables
//! that the docs quote; an argument picks rows by name.

// Each benchmark uses its part.
#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
mod frames;
mod terminal;

/// The same allocator as the program has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if terminal::is_printer() {
        return terminal::print();
    }
    println!("load average {}", common::load_average());
    frames::measure();
    terminal::measure();
    println!("load average {}", common::load_average());
}

/// The smallest value that so many of a hundred do not exceed.
fn percentile(values: &[f64], of_hundred: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * of_hundred / 100.0).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
