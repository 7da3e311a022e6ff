//! People who walk by social forces (Helbing and Molnár, 1995): each walks to a goal, and keeps
//! away from the others and from walls.

use grelot::sources::simulated::Random;

use super::plan::{DOOR_HALF, FloorPlan};
use super::radio::Body;

/// Time step of the simulation, in seconds.
pub const STEP_S: f64 = 0.2;

/// Parameters of the social force: relaxation time to the desired velocity, in seconds; repulsion
/// by others, in m/s², and its range, in metres.
const RELAX_S: f64 = 0.6;
const PUSH: (f64, f64) = (2.0, 0.35);

/// What a customer comes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// Comes straight in and walks about.
    Visit,
    /// Looks at the window first.
    LookThenVisit,
    /// Comes in, goes out to telephone, and comes in again.
    StepOut,
    /// In and out within a minute and a half.
    Quick,
    Pass,
    /// Studies the window for up to two minutes, and goes.
    Window,
    /// Waits for somebody beside the door.
    Wait,
    /// Opens the door, looks, and goes.
    Peek,
    /// Goes to the shop next door.
    NextDoor,
}

impl Errand {
    /// Whether the customer comes in.
    pub const fn comes_in(self) -> bool {
        matches!(self, Self::Visit | Self::LookThenVisit | Self::StepOut | Self::Quick)
    }

    /// The route: each place, and how long the customer stays there, in seconds.
    pub fn route(self, plan: &FloorPlan, random: &mut Random) -> Vec<((f64, f64), f64)> {
        let side = if random.chance(0.5) { 1.0 } else { -1.0 };
        let lane = -random.between(0.6, plan.pavement.max(0.8));
        let (from, away) = ((-18.0 * side, lane), (18.0 * side, lane));
        let mut route = vec![(from, 0.0)];
        match self {
            Self::Visit => {
                about_the_shop(plan, random.wait(200.0).clamp(60.0, 1200.0), random, &mut route);
            }
            Self::Quick => about_the_shop(plan, random.between(35.0, 90.0), random, &mut route),
            Self::LookThenVisit => {
                route.push((before_window(plan, random), random.between(5.0, 60.0)));
                about_the_shop(plan, random.wait(200.0).clamp(60.0, 1200.0), random, &mut route);
            }
            Self::StepOut => {
                about_the_shop(plan, random.between(60.0, 200.0), random, &mut route);
                let spot = (side * random.between(0.8, 4.0), -random.between(0.6, 2.0));
                route.push((spot, random.between(30.0, 180.0)));
                about_the_shop(plan, random.between(60.0, 300.0), random, &mut route);
            }
            Self::Pass => {}
            Self::Window => route.push((before_window(plan, random), random.between(15.0, 120.0))),
            Self::Wait => {
                let end_s = random.between(40.0, 200.0);
                let mut waited_s = 0.0;
                while waited_s < end_s {
                    let stay_s = random.between(5.0, 30.0);
                    let spot = (side * random.between(0.3, 2.5), -random.between(0.4, 1.8));
                    route.push((spot, stay_s));
                    waited_s += stay_s;
                }
            }
            Self::Peek => route.push(((0.3 * side, -0.35), random.between(2.0, 10.0))),
            Self::NextDoor => {
                let door = (plan.neighbour - 1.5, 0.6);
                route.push(((door.0, -0.6), 0.0));
                let end_s = random.wait(180.0).clamp(40.0, 900.0);
                let mut stayed_s = 0.0;
                while stayed_s < end_s {
                    let x = random.between(plan.sides.1 + 0.4, plan.neighbour - 0.4);
                    let y = random.between(0.6, plan.depth - 0.4);
                    let stay_s = random.between(5.0, 60.0);
                    route.push(((x, y), stay_s));
                    stayed_s += stay_s;
                }
                route.push((door, 0.0));
                route.push(((door.0, -0.6), 0.0));
            }
        }
        route.push((away, 0.0));
        route
    }
}

fn before_window(plan: &FloorPlan, random: &mut Random) -> (f64, f64) {
    let (from, to) = random.pick(&plan.windows).unwrap_or((DOOR_HALF, DOOR_HALF + 1.5));
    (random.between(from.max(-6.0), to.min(6.0)), -random.between(0.4, 1.1))
}

/// Through the door, from shelf to shelf, and out again.
fn about_the_shop(
    plan: &FloorPlan,
    for_s: f64,
    random: &mut Random,
    route: &mut Vec<((f64, f64), f64)>,
) {
    route.push(((0.0, -0.8), 0.0));
    route.push(((0.0, 0.8), 0.0));
    let mut stayed_s = 0.0;
    while stayed_s < for_s {
        let spot = (
            random.between(plan.sides.0 + 0.4, plan.sides.1 - 0.4),
            random.between(0.8, plan.depth - 0.4),
        );
        let stay_s = random.wait(25.0).clamp(3.0, for_s);
        route.push((spot, stay_s));
        stayed_s += stay_s;
    }
    route.push(((0.0, 0.8), 0.0));
    route.push(((0.0, -0.8), 0.0));
}

/// A person on a route.
#[derive(Debug, Clone)]
pub struct Walker {
    /// The current position, direction and phone.
    pub body: Body,
    speed: f64,
    moving: (f64, f64),
    route: std::vec::IntoIter<((f64, f64), f64)>,
    goal: Option<((f64, f64), f64)>,
    stays_until_s: f64,
    tired_s: f64,
}

impl Walker {
    /// A person at the beginning of `route`.
    pub fn new(route: Vec<((f64, f64), f64)>, random: &mut Random) -> Self {
        let mut route = route.into_iter();
        let at = route.next().map_or((0.0, -3.0), |(at, _)| at);
        let goal = route.next();
        let body = Body { at, facing: (1.0, 0.0) };
        let speed = random.between(0.9, 1.6);
        Self { body, speed, moving: (0.0, 0.0), route, goal, stays_until_s: 0.0, tired_s: 0.0 }
    }

    /// A person who stays near `at`, as sellers and other customers do.
    pub fn standing(at: (f64, f64)) -> Self {
        let body = Body { at, facing: (0.0, -1.0) };
        let route = Vec::new().into_iter();
        Self {
            body,
            speed: 0.0,
            moving: (0.0, 0.0),
            route,
            goal: None,
            stays_until_s: 0.0,
            tired_s: 0.0,
        }
    }

    /// Whether the route is at its end.
    pub fn is_gone(&self) -> bool {
        self.goal.is_none()
    }

    /// Moves the person by one step among `others`.
    pub fn step(&mut self, now_s: f64, others: &[Body], random: &mut Random) {
        let Some((goal, stay_s)) = self.goal else { return };
        let (x, y) = self.body.at;
        let (to_x, to_y) = (goal.0 - x, goal.1 - y);
        let far = (to_x * to_x + to_y * to_y).sqrt();
        if now_s < self.stays_until_s {
            if random.chance(0.04) {
                let angle = random.between(0.0, std::f64::consts::TAU);
                self.body.facing = (angle.cos(), angle.sin());
            }
            return;
        }
        // A person who is blocked gives up after a while, so that no scene hangs.
        self.tired_s += STEP_S;
        if far < 0.35 || self.tired_s > 90.0 {
            if self.stays_until_s == 0.0 && stay_s > 0.0 {
                self.stays_until_s = now_s + stay_s;
                return;
            }
            (self.goal, self.stays_until_s, self.tired_s) = (self.route.next(), 0.0, 0.0);
            return;
        }
        let want = (to_x / far * self.speed, to_y / far * self.speed);
        let mut force = ((want.0 - self.moving.0) / RELAX_S, (want.1 - self.moving.1) / RELAX_S);
        for other in others {
            let (from_x, from_y) = (x - other.at.0, y - other.at.1);
            let apart = (from_x * from_x + from_y * from_y).sqrt();
            if apart > 0.01 && apart < 1.5 {
                let push = PUSH.0 * ((0.5 - apart) / PUSH.1).exp().min(4.0);
                force = (force.0 + push * from_x / apart, force.1 + push * from_y / apart);
            }
        }
        self.moving.0 += force.0 * STEP_S;
        self.moving.1 += force.1 * STEP_S;
        let pace = (self.moving.0 * self.moving.0 + self.moving.1 * self.moving.1).sqrt();
        if pace > 2.0 {
            self.moving = (self.moving.0 * 2.0 / pace, self.moving.1 * 2.0 / pace);
        }
        self.body.at = (x + self.moving.0 * STEP_S, y + self.moving.1 * STEP_S);
        if pace > 0.2 {
            self.body.facing = (self.moving.0 / pace, self.moving.1 / pace);
        }
    }
}
