//! Services with each other, over a broker in memory.
