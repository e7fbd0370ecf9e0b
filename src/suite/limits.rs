//! The limits a gate holds a soak against: how much may leak, per second or per cycle.
