// Package deadletter keeps samples that a receiver has refused for good, with what it
// said, so that they can be sent once more when it was mended. It knows bytes, names and
// numbers, not what samples are.
//
// # Promises
//
//  1. A letter is on disk when Append returns. kill -9 or a power loss after that does not
//     take it away.
//  2. What a killed process wrote down and did not settle, as its cursor shows, is taken
//     back by Settle: it will be decided on anew.
//  3. Redeem notes in one piece which letters are done with and what is left of them: no
//     sample counts as redeemed twice.
//  4. The directory stays within MaxBytes. The oldest letters go first, and are counted.
//  5. Damage costs the frame that it hits. Opening removes nothing that can be read.
//
// The bytes are drawn in docs/queue-format.md.
package deadletter
