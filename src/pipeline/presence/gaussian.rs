//! A multivariate normal distribution of a few levels, and its conditional distribution once some
//! of them are measured (the update of a Kalman filter).

/// A normal distribution of `N` levels, in dB or dBm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Joint<const N: usize> {
    pub mean: [f32; N],
    /// In dB².
    pub covariance: [[f32; N]; N],
}

impl<const N: usize> Joint<N> {
    /// The conditional distribution after level `nth` was measured as `value`, with an error of
    /// variance `noise`.
    pub fn measured(mut self, nth: usize, value: f32, noise: f32) -> Self {
        let Some(row) = self.covariance.get(nth).copied() else { return self };
        let (Some(variance), Some(mean)) = (row.get(nth), self.mean.get(nth)) else { return self };
        let innovation = value - mean;
        let part = 1.0 / (variance + noise).max(1e-3);
        for (one, at) in row.iter().enumerate() {
            if let Some(mean) = self.mean.get_mut(one) {
                *mean += at * part * innovation;
            }
            if let Some(covariances) = self.covariance.get_mut(one) {
                for (covariance, other) in covariances.iter_mut().zip(&row) {
                    *covariance -= at * part * other;
                }
            }
        }
        self
    }
}
