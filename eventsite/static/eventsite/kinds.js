/* What a kind looks like: the family is the first part of its name, and has a colour of its own. */

const TONES = 12; // .tone-0 to .tone-11 in site.css

const FAILURE = /(^|[._])(failed|declined|error)$/;

export function familyOf(kind) {
  const dot = kind.indexOf(".");
  return dot < 0 ? kind : kind.slice(0, dot);
}

/* FNV-1a: the same colour for everybody, today and tomorrow, with no list to maintain. */
export function toneOf(family) {
  let hash = 2166136261;
  for (const character of family) {
    hash = Math.imul(hash ^ character.codePointAt(0), 16777619) >>> 0;
  }
  return `tone-${hash % TONES}`;
}

export function isFailure(kind) {
  return FAILURE.test(kind);
}
