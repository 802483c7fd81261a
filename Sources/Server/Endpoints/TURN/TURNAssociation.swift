internal import MartletCrypto
internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN
internal import MartletWebRTC

/// One client over DTLS (RFC 7350): its messages are the records of an association.
internal final class TURNAssociation: DatagramPath {
  internal let engine: DTLSEngine
  internal let flow: TURNFlow
  internal let began: Instant
  internal var lastHeard: Instant
  private unowned let owner: TURNAssociations

  internal init(_ engine: DTLSEngine, _ flow: TURNFlow, of owner: TURNAssociations, now: Instant) {
    (self.engine, self.flow, self.owner) = (engine, flow, owner)
    (began, lastHeard) = (now, now)
  }

  internal func reserve(_ size: Int) -> UnsafeMutableRawBufferPointer? { owner.scratch(size) }

  internal func commit(_ size: Int, to peer: SocketAddress) {
    guard let message = owner.scratch(size) else { return }
    engine.send(UnsafeRawBufferPointer(message).bytes)
    owner.flush(engine, to: flow.remote)
  }
}
