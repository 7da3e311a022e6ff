// The bell: strikes of a small brass bell, made on the spot.

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

// What is rung: seconds after the start and strength of each strike, and the vibration beside it.
const PEALS = {
  arrival: { strikes: [[0.02, 1], [0.24, 0.7]], vibration: [120, 80, 120] },
  reminder: { strikes: [[0.02, 0.45]], vibration: [80] },
  urgent: { strikes: [[0.02, 1], [0.24, 0.8], [0.7, 1], [0.92, 0.8]], vibration: [200, 100, 200, 100, 200] },
};

let audio = null;
let wanted = localStorage.getItem("sound") !== "off";
let notify = () => {};

/** Calls `listener` whenever the bell's state may have changed. */
export function onBellChange(listener) {
  notify = listener;
}

/** "off", "on", or "locked": most browsers are silent until the page has been touched. */
export function bellState() {
  if (!wanted) return "off";
  return audio?.state === "running" ? "on" : "locked";
}

/** Starts the sound, where the browser allows it: anywhere in answer to a touch. */
export async function unlockBell() {
  if (!audio) {
    audio = new AudioContext();
    audio.onstatechange = () => notify();
  }
  if (audio.state !== "running") await Promise.race([audio.resume(), new Promise((over) => setTimeout(over, 500))]).catch(() => {});
  notify();
}

export async function switchBell() {
  wanted = !wanted;
  localStorage.setItem("sound", wanted ? "on" : "off");
  await unlockBell();
  if (wanted) ring("arrival");
}

/** Rings, where it may; off is off, vibration too. Says whether it did. */
export function ring(peal) {
  const { strikes, vibration } = PEALS[peal];
  if (wanted) navigator.vibrate?.(vibration);
  if (bellState() !== "on") return false;
  for (const [after, strength] of strikes) strike(audio.currentTime + after, strength);
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
