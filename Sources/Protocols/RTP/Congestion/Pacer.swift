package import MartletPrimitives

/// When the next picture's packets may leave. It holds no packets: whoever has them asks whether the way is open, and comes back when
/// it will be. What may not wait (sound, retransmissions) is sent all the same and counted.
///
/// Two budgets: over some milliseconds packets leave at a multiple of the rate, so that a picture is not spread over the time until
/// the next; over half a second on average at the rate, since nobody makes a forwarded stream smaller.
package struct Pacer: Sendable {
  /// Of the rate, within the longer budget.
  private static let multiple = 2.5
  /// What leaves at once: the packets of a picture go to the kernel as one train.
  private static let burst = TimeSpan.milliseconds(10)
  /// The same while a probe goes out, whose packets have to be apart to show a rate.
  private static let probingBurst = TimeSpan.milliseconds(3)
  private static let window = TimeSpan.milliseconds(500)
  /// Sound alone may exceed the budget; pictures come back soon after.
  private static let mostDebt = TimeSpan.seconds(1)

  /// The time that a byte takes, in nanoseconds; 0 for no limit.
  private var fastCost = 0.0
  private var averageCost = 0.0
  private var limitsAverage = false
  private var burst = Pacer.burst
  /// When the budgets are whole again.
  private var fast = Instant.zero
  private var average = Instant.zero

  package init() {}

  /// - Parameters:
  ///   - rate: on average, in bits a second.
  ///   - peak: at least, within the longer budget.
  ///   - limitsAverage: otherwise what is sent is counted, and limits once it is known to be too much.
  package mutating func setRate(
    _ rate: Double, peak: Double = 0, limitsAverage: Bool = true, isProbing: Bool = false, now: Instant
  ) {
    self.limitsAverage = limitsAverage
    burst = isProbing ? Self.probingBurst : Self.burst
    Self.change(&averageCost, of: &average, to: 8e9 / max(1, rate), now)
    Self.change(&fastCost, of: &fast, to: 8e9 / max(1, peak, rate * Self.multiple), now)
  }

  /// The bytes over a budget stay what they are; at another rate they take another time.
  private static func change(_ cost: inout Double, of whole: inout Instant, to next: Double, _ now: Instant) {
    if whole > now, cost > 0 {
      let debt = Int64(clamping: Double((whole - now).nanoseconds) * next / cost)
      whole = now + min(mostDebt, TimeSpan(nanoseconds: debt))
    }
    cost = next
  }

  package mutating func sent(bytes: Int, now: Instant) {
    fast = Self.spend(fast, bytes, fastCost, now)
    average = Self.spend(average, bytes, averageCost, now)
  }

  private static func spend(_ whole: Instant, _ bytes: Int, _ cost: Double, _ now: Instant) -> Instant {
    let span = TimeSpan(nanoseconds: Int64(clamping: Double(bytes) * cost))
    return min(now + mostDebt, max(whole, now) + span)
  }

  package func isOpen(_ now: Instant) -> Bool {
    fast - now < burst && (!limitsAverage || average - now < Self.window)
  }

  /// When to ask again, of one that is not open: as soon as it pays.
  package var opening: Instant {
    let train = fast - TimeSpan(nanoseconds: burst.nanoseconds / 2)
    return limitsAverage ? max(train, average - Self.window + burst) : train
  }

  /// Whether what the peer has lost may be sent again; it goes before what is new, though not without end.
  package func isOpenForRepair(_ now: Instant) -> Bool { fast - now < Self.repairs }
  private static let repairs = TimeSpan.milliseconds(100)
}
