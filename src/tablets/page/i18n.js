// The page's texts, in French and in English.

const WORDS = {
  en: {
    live: "Live",
    connecting: "Connecting…",
    lost: "Reconnecting since {time}",
    lost_more: "No connection to the shop’s gateway since {time}. What you see may be out of date.",
    unsure: "Not hearing all",
    broker_away: "The shop’s message service is away since {time}. Arrivals may be missed until it is back.",
    blind: "The gateway “{gateway}” has heard nothing since {time}. Arrivals there may be missed.",
    offline: "The gateway “{gateway}” is off since {time}. Arrivals there may be missed.",
    to_welcome: "To welcome",
    in_care: "In good hands",
    discreet: "Discreetly here",
    discreet_more: "Please greet only if they come to you.",
    just_left: "Just left",
    waiting: "One moment",
    waiting_more: "Waiting for the shop’s gateway.",
    unknown: "Who is here is not certain",
    unknown_more: "The bar above says why. Arrivals may be missed while it is there.",
    calm: "All is calm",
    calm_more: "The bell rings as soon as someone comes in.",
    calm_silent: "All is calm, but the bell is silent",
    bell_is_off: "The bell is off on this tablet. Arrivals appear without a sound.",
    bell_is_locked: "Tap anywhere to let this tablet ring.",
    may_sleep: "The bell rings as soon as someone comes in. Keep this screen on: it may sleep by itself.",
    customer: "Customer {client}",
    speaks: "speaks {language}",
    now: "just now",
    minutes: "{n} min ago",
    since: "since {time}",
    at: "{when} · {gateway}",
    take: "I take care",
    give_back: "Give back",
    mine: "You take care, since {time}",
    theirs: "{by} takes care, since {time}",
    more: "More",
    was_not_here: "Was not here",
    dismiss: "Hide for all",
    thanks: "Thank you. It helps the bell to learn.",
    faster: "{by} was a moment faster.",
    no_answer: "The gateway did not answer. Please try again.",
    arrived: "{name} has just come in.",
    bell_locked: "Tap for sound",
    bell_on: "Bell on",
    bell_off: "Bell off",
    language: "Français",
    who: "Good day",
    who_more: "Your colleagues see who takes care of whom.",
    first_name: "Your first name",
    nobody: "Your name",
    start: "Start",
    later: "Just look",
    pair: "Let this tablet in",
    pair_more: "Customers’ names are for the staff of this shop only. Ask IT to run this on the gateway and to give you the code:",
    code: "Code",
    label: "What do you call this tablet?",
    pair_now: "Let it in",
    no_code: "No code is waiting, or it has expired. Please ask for a new one.",
    wrong_code: "That is not the code. Please look again.",
    too_many_codes: "Too many wrong codes. Please ask for a new one.",
    broker_away_now: "The shop’s message service is away. Please try again in a moment.",
    no_gateway: "No gateway is there to take note. Please try again in a moment.",
    visit_over: "This visit has just ended.",
    failed: "That did not work. Please try again.",
  },
  fr: {
    live: "En direct",
    connecting: "Connexion…",
    lost: "Reconnexion depuis {time}",
    lost_more: "Plus de liaison avec la passerelle depuis {time}. L’affichage n’est peut-être plus à jour.",
    unsure: "Écoute incomplète",
    broker_away: "La messagerie de la boutique ne répond plus depuis {time}. Des arrivées peuvent nous échapper jusqu’à son retour.",
    blind: "La passerelle « {gateway} » n’entend plus rien depuis {time}. Des arrivées peuvent nous échapper.",
    offline: "La passerelle « {gateway} » est éteinte depuis {time}. Des arrivées peuvent nous échapper.",
    to_welcome: "À accueillir",
    in_care: "En bonnes mains",
    discreet: "Présents en toute discrétion",
    discreet_more: "À saluer seulement s’ils viennent à vous.",
    just_left: "Viennent de partir",
    waiting: "Un instant",
    waiting_more: "En attente de la passerelle.",
    unknown: "Présences incertaines",
    unknown_more: "Le bandeau ci-dessus dit pourquoi. Tant qu’il est là, des arrivées peuvent nous échapper.",
    calm: "Tout est calme",
    calm_more: "Le grelot tintera dès que quelqu’un entrera.",
    calm_silent: "Tout est calme, mais sans sonnerie",
    bell_is_off: "Le son est coupé sur cette tablette. Les arrivées s’affichent sans sonnerie.",
    bell_is_locked: "Touchez l’écran pour que cette tablette puisse sonner.",
    may_sleep: "Le grelot tintera dès que quelqu’un entrera. Gardez l’écran allumé : il peut se mettre en veille.",
    customer: "Client {client}",
    speaks: "parle {language}",
    now: "à l’instant",
    minutes: "il y a {n} min",
    since: "depuis {time}",
    at: "{when} · {gateway}",
    take: "Je m’en occupe",
    give_back: "Je rends la main",
    mine: "Vous vous en occupez, depuis {time}",
    theirs: "{by} s’en occupe, depuis {time}",
    more: "Autres choix",
    was_not_here: "N’était pas là",
    dismiss: "Masquer pour tous",
    thanks: "Merci. Le grelot apprend grâce à vous.",
    faster: "{by} vous a devancé d’un instant.",
    no_answer: "La passerelle n’a pas répondu. Veuillez réessayer.",
    arrived: "{name} vient d’arriver.",
    bell_locked: "Toucher pour le son",
    bell_on: "Son activé",
    bell_off: "Son coupé",
    language: "English",
    who: "Bonjour",
    who_more: "Vos collègues voient qui s’occupe de qui.",
    first_name: "Votre prénom",
    nobody: "Votre prénom",
    start: "Commencer",
    later: "Regarder seulement",
    pair: "Autoriser cette tablette",
    pair_more: "Les noms des clients sont réservés à l’équipe de la boutique. Demandez au service informatique de lancer ceci sur la passerelle et de vous donner le code :",
    code: "Code",
    label: "Comment appelez-vous cette tablette ?",
    pair_now: "Autoriser",
    no_code: "Aucun code en attente, ou il a expiré. Demandez-en un nouveau.",
    wrong_code: "Ce n’est pas le bon code. Veuillez vérifier.",
    too_many_codes: "Trop de codes erronés. Demandez-en un nouveau.",
    broker_away_now: "La messagerie de la boutique ne répond pas. Réessayez dans un instant.",
    no_gateway: "Aucune passerelle n’est là pour en prendre note. Réessayez dans un instant.",
    visit_over: "Cette visite vient de se terminer.",
    failed: "Cela n’a pas fonctionné. Veuillez réessayer.",
  },
};

const remembered = localStorage.getItem("language");
let language = remembered ?? (navigator.language.startsWith("fr") ? "fr" : "en");

export const spoken = () => language;

export function switchLanguage() {
  language = language === "fr" ? "en" : "fr";
  localStorage.setItem("language", language);
}

/** The text for `key`, with the values in braces filled in. */
export function say(key, fill = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => fill[name] ?? "");
}

export const knows = (key) => key in WORDS.en;

/** Sets the text of every element with a key. */
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-t]")) {
    element.textContent = say(element.dataset.t);
  }
}

/** 14:05, in both languages: short, and never two o'clock at night. */
export function clock(time) {
  const style = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(language, style).format(time);
}

/** "just now", "4 min ago", "since 14:05". */
export function ago(time, now) {
  const minutes = Math.floor((now - time) / 60_000);
  if (minutes < 1) return say("now");
  if (minutes < 60) return say("minutes", { n: minutes });
  return say("since", { time: clock(time) });
}

/** The name of a language, where the browser knows it: "fr" is "French". */
export function languageName(tag) {
  try {
    return new Intl.DisplayNames([language], { type: "language", fallback: "none" }).of(tag);
  } catch {
    return undefined;
  }
}
