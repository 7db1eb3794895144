/**
 * What is random about a face, drawn once per sample: the person, the expression, the pose, the light, hair and things
 * worn. Lengths are in centimetres of a head whose outer eye corners are about 9 apart; x to the right in the image, y
 * down, z towards the viewer, the origin between the eyes in the plane through the ears. The spreads are rounded
 * anthropometric ones, widened, because a network learns only what it has seen vary.
 */
import { normal, stream, uniform } from 'espalier';
import type { Stream } from 'espalier';
import { clamp } from './noise.ts';

export interface Person {
  /** 0 to 1 each: masculine bone structure, age, fullness. */
  readonly masculine: number;
  readonly age: number;
  readonly fullness: number;
  /**
   * Half the width at the ears, height from eyes to chin, squareness (exponent of the jaw's superellipse), forward
   * shift of the chin.
   */
  readonly headWidth: number;
  readonly chinY: number;
  readonly jawPower: number;
  readonly chinForward: number;
  readonly eyeInner: number;
  readonly eyeOuter: number;
  readonly eyeTilt: number;
  readonly socketDepth: number;
  readonly browY: number;
  readonly browInner: number;
  readonly browOuter: number;
  readonly browArch: number;
  readonly browTilt: number;
  readonly browThickness: number;
  readonly browRidge: number;
  readonly noseTipY: number;
  readonly noseBaseY: number;
  readonly noseWidth: number;
  readonly noseHeight: number;
  readonly noseBend: number;
  readonly noseHump: number;
  readonly mouthY: number;
  readonly mouthWidth: number;
  readonly upperLip: number;
  readonly lowerLip: number;
  readonly cheek: number;
  /** Reflectance of skin, hair, iris and lips (relative to skin), 0 to 1. */
  readonly skin: number;
  readonly hairTone: number;
  readonly browTone: number;
  readonly iris: number;
  readonly lipTone: number;
  readonly shine: number;
}

export interface Expression {
  /** Gap between the inner lips. */
  readonly open: number;
  /** -0.6 sad to 1 laughing. */
  readonly smile: number;
  /** Relative narrowing of the mouth. */
  readonly pucker: number;
  readonly skew: number;
  readonly browRaise: readonly [number, number];
  readonly frown: number;
  /** Lid gap of the left and right eye at its widest. */
  readonly eyeOpen: readonly [number, number];
  readonly gazeX: number;
  readonly gazeY: number;
}

export interface Pose {
  /** Radians. Yaw above 0: the nose points to the right of the image; pitch above 0: down; roll above 0: clockwise. */
  readonly yaw: number;
  readonly pitch: number;
  readonly roll: number;
  readonly cameraDistance: number;
}

export interface Light {
  /** Unit vector towards the key light, in camera axes. */
  readonly direction: readonly [number, number, number];
  readonly key: number;
  readonly ambient: number;
  /** Share of the ambient light that depends on how far a surface faces upwards. */
  readonly skyward: number;
  readonly rim: number;
  readonly shadow: number;
}

export interface Hair {
  readonly kind: 'bald' | 'short' | 'bob' | 'long' | 'tied' | 'cap';
  readonly thickness: number;
  /** Height of the hairline, or of the lower edge of a fringe, at the middle. */
  readonly frontY: number;
  readonly parting: number;
  readonly templeAngle: number;
  readonly sideY: number;
  readonly frizz: number;
  readonly wave: number;
}

export interface Beard {
  readonly kind: 'none' | 'stubble' | 'moustache' | 'goatee' | 'full';
  readonly strength: number;
}

export interface Glasses {
  readonly tint: number;
  readonly frame: number;
  readonly width: number;
  readonly height: number;
  readonly squareness: number;
  readonly thickness: number;
  readonly drop: number;
  readonly glare: number;
}

export interface Traits {
  readonly person: Person;
  readonly expression: Expression;
  readonly pose: Pose;
  readonly light: Light;
  readonly hair: Hair;
  readonly beard: Beard;
  readonly glasses: Glasses | undefined;
  readonly makeup: number;
  /** Side of the crop in pixels of the video frame, as a share of the wanted side: faces in video are small. */
  readonly resolution: number;
}

/**
 * Draws all traits of sample `index`; each group has its own stream, so that a change to one leaves the others as they
 * were.
 */
export function drawTraits(seed: number | string, index: number): Traits {
  const person = drawPerson(stream(seed, 'face person', index));
  const random = stream(seed, 'face style', index);
  const makeup = person.masculine < 0.45 && random() < 0.6 ? uniform(random, 0.2, 1) : 0;
  return {
    person,
    makeup,
    resolution: random() < 0.55 ? uniform(random, 0.45, 1) : 1,
    expression: drawExpression(stream(seed, 'face expression', index)),
    pose: drawPose(stream(seed, 'face pose', index)),
    light: drawLight(stream(seed, 'face light', index)),
    hair: drawHair(random, person),
    beard: drawBeard(random, person),
    glasses: random() < 0.2 ? drawGlasses(random) : undefined,
  };
}

/** Normal with mean and deviation, kept within 2.2 deviations: a landmark beyond would be a caricature. */
function about(random: Stream, mean: number, deviation: number): number {
  return mean + deviation * clamp(normal(random), -2.2, 2.2);
}

function drawPerson(random: Stream): Person {
  const masculine = random() < 0.58 ? uniform(random, 0.5, 1) : uniform(random, 0, 0.5);
  const age = Math.pow(random(), 1.1);
  const fullness = random();
  const skin = random() < 0.72 ? uniform(random, 0.42, 0.72) : uniform(random, 0.13, 0.45);
  const grey = age > 0.45 && random() < (age - 0.3) * 1.2;
  const dark = random() < 0.6 || skin < 0.35;
  const hairTone = grey ? uniform(random, 0.3, 0.75) : dark ? uniform(random, 0.02, 0.14) : uniform(random, 0.12, 0.5);
  const noseTipY = about(random, 3.7, 0.32);
  const noseBaseY = noseTipY + about(random, 1.12, 0.17);
  const upperLip = clamp(about(random, 0.76 - 0.15 * masculine - 0.12 * age, 0.15), 0.28, 1.1);
  return {
    masculine,
    age,
    fullness,
    skin,
    hairTone,
    noseTipY,
    noseBaseY,
    upperLip,
    headWidth: about(random, 7.6 + 0.3 * fullness, 0.3),
    chinY: about(random, 11.55 + 0.45 * masculine, 0.5),
    jawPower: about(random, 2.12 + 0.25 * masculine + 0.2 * fullness, 0.17),
    chinForward: about(random, 0.1 * masculine, 0.4),
    eyeInner: about(random, 1.95, 0.15),
    eyeOuter: about(random, 4.5, 0.15),
    eyeTilt: about(random, 0.08, 0.14),
    socketDepth: about(random, 0.8 + 0.4 * masculine, 0.25),
    browY: about(random, -2.28 + 0.25 * masculine, 0.28),
    browInner: about(random, 1.9, 0.24),
    browOuter: about(random, 5.9, 0.25),
    browArch: about(random, 0.55 - 0.2 * masculine, 0.16),
    browTilt: about(random, 0.05, 0.22),
    browThickness: clamp(about(random, 0.3 + 0.2 * masculine, 0.09), 0.16, 0.7),
    browRidge: masculine * uniform(random, 0.1, 0.7),
    noseWidth: about(random, 1.3 + 0.12 * masculine + (skin < 0.35 ? 0.2 : 0), 0.17),
    noseHeight: about(random, 2.45 - (skin < 0.35 ? 0.25 : 0), 0.32),
    noseBend: about(random, 0, 0.1),
    noseHump: about(random, 0.05, 0.18),
    mouthY: noseBaseY + about(random, 2.2 + 0.1 * masculine, 0.2),
    mouthWidth: about(random, 2.66, 0.22),
    lowerLip: clamp(upperLip * uniform(random, 1.1, 1.7) + 0.1, 0.35, 1.4),
    cheek: uniform(random, 0.1, 0.7),
    browTone: clamp(hairTone * uniform(random, 0.5, 1.1), 0.02, 0.5),
    iris: uniform(random, 0.03, skin > 0.45 && !dark ? 0.4 : 0.14),
    lipTone: uniform(random, 0.5, 0.92),
    shine: uniform(random, 0, 0.42) * random(),
  };
}

function drawExpression(random: Stream): Expression {
  const talking = random();
  const open =
    talking < 0.26 ? 0 : talking < 0.4 ? uniform(random, 0, 0.3) : clamp(0.2 - 0.8 * Math.log(1 - random()), 0, 3.4);
  const mood = random();
  const smile =
    mood < 0.4 ? uniform(random, -0.2, 0.2) : mood < 0.85 ? uniform(random, 0, 1) : uniform(random, -0.6, 0);
  const both = about(random, 0, 0.3);
  const lids = random() < 0.1 ? uniform(random, 0, 0.25) : about(random, 0.84 - 0.12 * Math.max(0, smile), 0.22);
  return {
    open,
    smile,
    pucker: random() < 0.25 ? uniform(random, 0, 0.38) : 0,
    skew: about(random, 0, 0.1),
    browRaise: [both + about(random, 0, 0.12), both + about(random, 0, 0.12)],
    frown: random() < 0.35 ? uniform(random, 0, 1) : 0,
    eyeOpen: [clamp(lids + about(random, 0, 0.05), 0, 1.5), clamp(lids + about(random, 0, 0.05), 0, 1.5)],
    gazeX: about(random, 0, 0.4),
    gazeY: about(random, 0, 0.16),
  };
}

/** Video frames of people who talk: mostly within 25 degrees of the camera, with a long tail of turned heads. */
function drawPose(random: Stream): Pose {
  const degree = Math.PI / 180;
  const yaw = random() < 0.62 ? 13 * normal(random) : 29 * normal(random);
  return {
    yaw: clamp(yaw, -64, 64) * degree,
    pitch: clamp(2 + 10 * normal(random), -27, 27) * degree,
    roll: clamp(7.5 * normal(random), -24, 24) * degree,
    cameraDistance: uniform(random, 70, 260),
  };
}

function drawLight(random: Stream): Light {
  const side = random() < 0.25;
  const azimuth = (side ? uniform(random, 40, 95) * (random() < 0.5 ? 1 : -1) : about(random, 0, 28)) * (Math.PI / 180);
  const elevation = about(random, 32, 20) * (Math.PI / 180);
  const key = uniform(random, 0.35, 1.05);
  return {
    direction: [Math.sin(azimuth) * Math.cos(elevation), -Math.sin(elevation), Math.cos(azimuth) * Math.cos(elevation)],
    key,
    ambient: clamp(1.05 - key * uniform(random, 0.5, 1), side ? 0.04 : 0.14, 1),
    skyward: uniform(random, 0.1, 0.5),
    rim: random() < 0.2 ? uniform(random, 0.2, 0.8) : 0,
    shadow: uniform(random, 0.3, 1),
  };
}

function drawHair(random: Stream, person: Person): Hair {
  const roll = random();
  const male = person.masculine >= 0.5;
  const kind: Hair['kind'] =
    random() < 0.04
      ? 'cap'
      : male
        ? roll < 0.05 + 0.18 * person.age
          ? 'bald'
          : roll < 0.93
            ? 'short'
            : 'long'
        : roll < 0.25
          ? 'short'
          : roll < 0.5
            ? 'bob'
            : roll < 0.82
              ? 'long'
              : 'tied';
  const fringe = (!male && random() < 0.35) || (male && random() < 0.08);
  const receding = male ? person.age * uniform(random, 0, 2.4) : 0;
  return {
    kind,
    thickness:
      kind === 'bald'
        ? 0.12
        : kind === 'short'
          ? uniform(random, 0.4, 1.9)
          : kind === 'tied'
            ? uniform(random, 0.3, 0.9)
            : uniform(random, 0.7, 2.2),
    frontY:
      kind === 'cap'
        ? uniform(random, -4.4, -2.9)
        : fringe
          ? uniform(random, -4.2, -2.4)
          : uniform(random, -6, -3.9) - receding,
    parting: uniform(random, -0.6, 0.6),
    templeAngle: uniform(random, 44, 68) + (kind === 'bald' ? 22 : 0),
    sideY:
      kind === 'bob' ? uniform(random, 5, 11) : kind === 'long' ? uniform(random, 11, 24) : uniform(random, 0.4, 3.2),
    frizz: uniform(random, 0.1, 1) * (random() < 0.2 ? 2 : 1),
    wave: uniform(random, 0, 1),
  };
}

function drawBeard(random: Stream, person: Person): Beard {
  const roll = random();
  if (person.masculine < 0.5 || roll > 0.62) return { kind: 'none', strength: 0 };
  const kind = roll < 0.3 ? 'stubble' : roll < 0.41 ? 'moustache' : roll < 0.49 ? 'goatee' : 'full';
  return { kind, strength: kind === 'stubble' ? uniform(random, 0.1, 0.45) : uniform(random, 0.65, 1) };
}

function drawGlasses(random: Stream): Glasses {
  return {
    tint: random() < 0.2 ? uniform(random, 0.6, 0.97) : uniform(random, 0, 0.12),
    frame: random() < 0.7 ? uniform(random, 0.01, 0.15) : uniform(random, 0.3, 0.8),
    width: uniform(random, 2.2, 2.8),
    height: uniform(random, 1.15, 2.1),
    squareness: uniform(random, 2, 4.5),
    thickness: uniform(random, 0.1, 0.3),
    drop: uniform(random, -0.1, 0.9),
    glare: random() < 0.4 ? uniform(random, 0.05, 0.4) : 0,
  };
}
