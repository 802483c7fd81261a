internal import MartletIO
internal import MartletPrimitives

/// What the TURN servers of all workers have together.
package final class TURNShared: Sendable {
  package let quotas: TURNQuotas
  internal let reservations: TURNReservations
  internal let rates = TURNUserRates()
  /// Nonces of one worker are good at the others.
  internal let nonceKey: [UInt8]
  /// Of DTLS.
  internal let cookieKey: [UInt8]

  package init(_ configuration: TURNConfiguration) {
    quotas = TURNQuotas(configuration.limits)
    reservations = TURNReservations(quotas)
    var random = RandomSource.system
    nonceKey = random.bytes(32)
    cookieKey = random.bytes(32)
  }
}
