internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

// Relays are opened and closed as the core says.
extension TURNListener {
  internal func open(_ request: TURNRelayRequest) {
    let now = context.now
    do throws(TURNRelayRefusal) {
      let (port, holder) = try bind(request, now: now)
      if request.transport == .tcp {
        streamRelays[request.id] = try streamRelay(request, port, holder)
        return didOpen(request, at: port.address, now: now)
      }
      let slot = Int(request.id.slot)
      while relays.count <= slot { relays.append(nil) }
      relays[slot] = TURNRelay(request.id, port, user: request.user, holder, of: self)
      didOpen(request, at: port.address, now: now)
    } catch { server.relayDidFail(request.id, error.failure, now: now) }
  }

  private func didOpen(_ request: TURNRelayRequest, at address: SocketAddress, now: Instant) {
    let announced = relayAddresses[AddressFamily(of: address.ip)]?.announced ?? address.ip
    server.relayDidOpen(request.id, at: SocketAddress(ip: announced, port: address.port), now: now)
  }

  private func streamRelay(
    _ request: TURNRelayRequest, _ port: UDPPort, _ holder: TURNQuotas.Holder
  ) throws(TURNRelayRefusal) -> TURNStreamRelay {
    do throws(SystemError) {
      guard let census else { throw SystemError("relay TCP", code: 0) }
      return try TURNStreamRelay(request.id, port, holder, of: self, census: census)
    } catch {
      shared.quotas.giveBack(for: holder)
      throw TURNRelayRefusal(error.isPortTaken ? .portTaken : .unavailable)
    }
  }

  private func bind(_ request: TURNRelayRequest, now: Instant) throws(TURNRelayRefusal) -> (UDPPort, TURNQuotas.Holder) {
    if case .reserved(let token) = request.source {
      guard let kept = shared.reservations.take(token, user: request.user, now: now) else { throw TURNRelayRefusal(.unavailable) }
      return kept
    }
    guard let ip = relayAddresses[request.family]?.local else { throw TURNRelayRefusal(.noAddress) }
    let holder = TURNQuotas.Holder(user: request.user, client: request.client)
    let isPair = if case .pair = request.source { true } else { false }
    guard shared.quotas.take(isPair ? 2 : 1, for: holder) else { throw TURNRelayRefusal(.quota) }
    do throws(SystemError) {
      switch request.source {
      case .port(let number): return (try port(ip, number), holder)
      case .pair(let number, let token):
        let (first, second) = (try port(ip, number), try port(ip, number + 1))
        shared.reservations.keep(second, for: holder, token: token, now: now)
        return (first, holder)
      case .reserved: throw SystemError("reserve a port", code: 0)
      }
    } catch {
      for _ in 0..<(isPair ? 2 : 1) { shared.quotas.giveBack(for: holder) }
      throw TURNRelayRefusal(error.isPortTaken ? .portTaken : error.isNoAddress ? .noAddress : .unavailable)
    }
  }

  private func port(_ ip: IPAddress, _ number: UInt16) throws(SystemError) -> UDPPort {
    try UDPPort(SocketAddress(ip: ip, port: number), buffer: TURNRelay.buffer, sharedWith: .nobody)
  }

  internal func close(_ id: TURNRelayID) {
    streamRelays.removeValue(forKey: id)?.close()
    guard let relay = relay(id) else { return }
    relays[Int(id.slot)] = nil
    handedOverByClosed += relay.socket.statistics.handedOver
    relay.close()
  }

  internal func relay(_ id: TURNRelayID) -> TURNRelay? {
    guard Int(id.slot) < relays.count, let relay = relays[Int(id.slot)], relay.id == id else { return nil }
    return relay
  }

  /// Packets that went to another socket of this worker without the kernel.
  internal var packetsHandedOver: Int { relays.reduce(handedOverByClosed) { $0 + ($1?.socket.statistics.handedOver ?? 0) } }
}

/// Why a relay was not opened, on its way to the core.
private struct TURNRelayRefusal: Error {
  let failure: TURNRelayFailure
  init(_ failure: TURNRelayFailure) { self.failure = failure }
}
