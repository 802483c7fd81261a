import MartletPrimitives
import MartletRTP
import TestSupport

/// A stream of pictures and sound under congestion control, and the peer that reports on it.
struct SimulatedFlow {
  enum Pictures {
    /// An encoder that follows the estimate.
    case adaptive
    /// A stream that is forwarded, in bits a second.
    case fixed(Double)
  }

  var control: CongestionControl
  private(set) var receivedBytes = 0
  /// From being made to leaving.
  private(set) var longestHold = TimeSpan.zero
  private(set) var padding = 0
  private(set) var droppedPictures = 0

  private let pictures: Pictures
  private let sendsPadding: Bool
  private var held = Deque<(bytes: Int, made: Instant)>()
  private var arrivals: [(at: Instant, number: UInt16, bytes: Int)] = []
  private var feedbacks: [(at: Instant, feedback: TransportFeedback)] = []
  private var generator = TransportFeedbackGenerator()
  private var nextPicture: Instant
  private var nextSound: Instant
  private var random: SeededRandom

  /// What a late picture waits at most.
  private static let patience = TimeSpan.milliseconds(500)

  init(_ pictures: Pictures, limits: CongestionLimits = CongestionLimits(), sendsPadding: Bool = true, seed: UInt64) {
    self.pictures = pictures
    self.sendsPadding = sendsPadding
    control = CongestionControl(.transportFeedback, limits: limits)
    random = SeededRandom(seed: seed)
    nextPicture = .zero + .milliseconds(Int.random(in: 0...33, using: &random))
    nextSound = .zero + .milliseconds(Int.random(in: 0...20, using: &random))
  }

  mutating func forgetLongestHold() { longestHold = .zero }

  mutating func step(_ now: Instant, _ link: inout Bottleneck) {
    receive(now, link.delay)
    if nextSound <= now {
      nextSound = nextSound + .milliseconds(20)
      send(120, now, &link)
    }
    if nextPicture <= now {
      nextPicture = nextPicture + .milliseconds(33)
      makePicture(now)
    }
    while let first = held.first, control.isOpen(now) {
      held.popFirst()
      longestHold = max(longestHold, now - first.made)
      send(first.bytes, now, &link)
    }
    if let first = held.first, now - first.made > Self.patience { drop(now) }
    while sendsPadding, held.isEmpty, control.padding(now) > 0 {
      padding += 283
      carry(control.padded(bytes: 283, now: now), 283, now, &link)
    }
  }

  private mutating func makePicture(_ now: Instant) {
    let rate =
      switch pictures {
      case .adaptive: Double(control.estimate?.bitsPerSecond ?? 0)
      case .fixed(let rate): rate
      }
    var bytes = Int(rate * 0.033 / 8 * Double.random(in: 0.7...1.3, using: &random))
    while bytes > 0 {
      held.append((min(1200, max(100, bytes)), now))
      bytes -= 1200
    }
  }

  private mutating func drop(_ now: Instant) {
    droppedPictures += 1
    while let next = held.popFirst() { control.leftOut(bytes: next.bytes, now: now) }
  }

  private mutating func send(_ bytes: Int, _ now: Instant, _ link: inout Bottleneck) {
    carry(control.sent(bytes: bytes, now: now), bytes, now, &link)
  }

  private mutating func carry(_ number: UInt16, _ bytes: Int, _ now: Instant, _ link: inout Bottleneck) {
    if let arrival = link.send(bytes: bytes, now: now) { arrivals.append((arrival, number, bytes)) }
  }

  private mutating func receive(_ now: Instant, _ delay: TimeSpan) {
    while let next = arrivals.first, next.at <= now {
      arrivals.removeFirst()
      receivedBytes += next.bytes
      generator.receive(next.number, now: next.at)
    }
    while let feedback = generator.poll(sender: 1, media: 2, now: now) { feedbacks.append((now + delay, feedback)) }
    while let next = feedbacks.first, next.at <= now {
      feedbacks.removeFirst()
      control.receive(next.feedback, now: now)
    }
  }
}
