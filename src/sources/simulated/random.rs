//! Random numbers from a seed: the same on every machine.

use super::floor_plan::Point;
use super::math::ln;

/// xoshiro256++ 1.0, seeded through `SplitMix64` (both Blackman and Vigna, prng.di.unimi.it).
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
    spare: Option<f64>,
}

impl Random {
    /// The stream that belongs to `seed` and `of`: streams of different things are independent,
    /// so that one more gateway, for example, does not change the paths through the shop.
    pub fn new(seed: u64, of: &[u64]) -> Self {
        let mut mix = of.iter().fold(seed, |seed, word| split_mix(&mut { seed }) ^ *word);
        Self { state: std::array::from_fn(|_| split_mix(&mut mix)), spare: None }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.state;
        let result = s0.wrapping_add(*s3).rotate_left(23).wrapping_add(*s0);
        let shifted = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= shifted;
        *s3 = s3.rotate_left(45);
        result
    }

    /// From 0 up to, but without, 1.
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let mantissa = (self.bits() >> 11) as f64;
        mantissa / 9_007_199_254_740_992.0
    }

    /// From `low` up to, but without, `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True so often.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// From 0 up to, but without, `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        let scaled = (self.bits() >> 32) * u64::from(bound);
        u32::try_from(scaled >> 32).unwrap_or_default()
    }

    /// One of `items`; `None` of none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let index = self.below(u32::try_from(items.len()).unwrap_or(u32::MAX));
        items.get(index as usize).copied()
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

    /// Exponentially distributed with this mean: the wait for the next of independent events.
    pub fn wait(&mut self, mean: f64) -> f64 {
        -mean * ln(1.0 - self.unit())
    }

    /// A direction, none more likely than another.
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

    /// Random octets.
    pub fn octets<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.bits().to_le_bytes()[7])
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
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

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs of xoshiro256++ from the state 1, 2, 3, 4 (rand_xoshiro's test).
        let mut random = Random { state: [1, 2, 3, 4], spare: None };
        let expected = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!([(); 4].map(|()| random.bits()), expected);
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
