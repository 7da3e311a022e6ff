// The bell: two strikes of a small brass bell, made on the spot.

// Partials of a small bell over its strike note: ratio, loudness, seconds to fade away.
const PARTIALS = [
  [0.5, 0.16, 1.6],
  [1, 0.5, 1.3],
  [1.19, 0.22, 1],
  [1.5, 0.14, 0.8],
  [2, 0.34, 0.7],
  [2.74, 0.2, 0.45],
  [3.76, 0.12, 0.3],
  [5.4, 0.06, 0.15],
];
const STRIKE_NOTE = 1318.5; // E6: clear over a shop's music, not shrill
const LOUDNESS = 0.5;

let audio = null;
let wanted = localStorage.getItem("sound") !== "off";
let tell = () => {};

/** Calls `listener` whenever the bell's state may have changed. */
export function onBellChange(listener) {
  tell = listener;
}

/** "off", "on", or "locked": browsers are silent until the page has been touched. */
export function bellState() {
  if (!wanted) return "off";
  return audio?.state === "running" ? "on" : "locked";
}

/** To be called in answer to a touch. */
export async function unlockBell() {
  audio ??= new AudioContext();
  audio.onstatechange = () => tell();
  if (audio.state !== "running") await audio.resume().catch(() => {});
  tell();
}

export async function switchBell() {
  wanted = !wanted;
  localStorage.setItem("sound", wanted ? "on" : "off");
  await unlockBell();
  if (wanted) ring();
}

/** Rings, where it may; says whether it did. */
export function ring() {
  navigator.vibrate?.([120, 80, 120]);
  if (bellState() !== "on") return false;
  strike(audio.currentTime + 0.02, 1);
  strike(audio.currentTime + 0.24, 0.7);
  return true;
}

function strike(at, strength) {
  for (const [ratio, loudness, fade] of PARTIALS) {
    const tone = new OscillatorNode(audio, { frequency: STRIKE_NOTE * ratio });
    const level = new GainNode(audio, { gain: 0 });
    level.gain.setValueAtTime(0, at);
    level.gain.linearRampToValueAtTime(loudness * strength * LOUDNESS, at + 0.004);
    level.gain.exponentialRampToValueAtTime(0.0001, at + fade);
    tone.connect(level).connect(audio.destination);
    tone.start(at);
    tone.stop(at + fade);
  }
}
