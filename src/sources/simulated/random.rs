//! Random numbers from a seed: the same on every machine.

use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use rand_xoshiro::{SplitMix64, Xoshiro256PlusPlus};

use super::floor_plan::Point;
use super::math::ln;

/// xoshiro256++ with the distributions that a simulation and a search need.
#[derive(Debug, Clone)]
pub struct Random {
    generator: Xoshiro256PlusPlus,
    spare: Option<f64>,
}

impl Random {
    /// The stream of `seed` and `of`. Streams for different things are independent, so that one
    /// more gateway, for example, does not change the paths through the shop.
    pub fn new(seed: u64, of: &[u64]) -> Self {
        let next = |seed| SplitMix64::seed_from_u64(seed).next_u64();
        let stream = of.iter().fold(seed, |seed, word| next(seed) ^ *word);
        Self { generator: Xoshiro256PlusPlus::seed_from_u64(stream), spare: None }
    }

    pub fn bits(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// Uniformly distributed, 0 included, 1 excluded.
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let mantissa = (self.bits() >> 11) as f64;
        mantissa / 9_007_199_254_740_992.0
    }

    /// Uniformly distributed, `low` included, `high` excluded.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniformly distributed, 0 included, `bound` excluded.
    pub fn below(&mut self, bound: u32) -> u32 {
        let scaled = (self.bits() >> 32) * u64::from(bound);
        u32::try_from(scaled >> 32).unwrap_or_default()
    }

    /// An index of a list of `length`; 0 for an empty list.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(u32::try_from(length).unwrap_or(u32::MAX)) as usize
    }

    /// One of `items`; `None` where there is none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        items.get(self.index(items.len())).copied()
    }

    /// Normally distributed, mean 0, standard deviation 1 (Marsaglia's polar method).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (self.between(-1.0, 1.0), self.between(-1.0, 1.0));
            let square = x * x + y * y;
            if square > 1e-18 && square < 1.0 {
                let scale = (-2.0 * ln(square) / square).sqrt();
                self.spare = Some(y * scale);
                return x * scale;
            }
        }
    }

    /// Exponentially distributed with this mean: the time until the next of independent events.
    pub fn wait(&mut self, mean: f64) -> f64 {
        -mean * ln(1.0 - self.unit())
    }

    /// A unit vector, uniformly distributed.
    pub fn direction(&mut self) -> Point {
        let centre = Point::at(0.0, 0.0);
        loop {
            let drawn = Point::at(self.between(-1.0, 1.0), self.between(-1.0, 1.0));
            if let Some(direction) = centre.towards(drawn).filter(|_| drawn.distance(centre) < 1.0)
            {
                return direction;
            }
        }
    }

    pub fn octets<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.bits().to_le_bytes()[7])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_another_stream_others() {
        let bits = |seed, of: &[u64]| Random::new(seed, of).bits();
        assert_eq!(bits(1, &[2, 3]), bits(1, &[2, 3]));
        assert_ne!(bits(1, &[2, 3]), bits(1, &[3, 2]));
        assert_ne!(bits(1, &[2, 3]), bits(2, &[2, 3]));
    }

    /// Recordings of a simulated shop depend on these numbers.
    #[test]
    fn a_stream_never_changes() {
        let mut random = Random::new(7, &[1, 2]);
        assert_eq!(
            [(); 2].map(|()| random.bits()),
            [15_960_435_305_609_280_325, 6_675_225_448_793_078_226]
        );
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_deviation_one() {
        let mut random = Random::new(7, &[]);
        let numbers: Vec<_> = (0..20_000).map(|_| random.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }
}
