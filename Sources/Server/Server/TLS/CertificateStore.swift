internal import Glibc
internal import MartletCrypto
internal import MartletPrimitives
internal import Synchronization

/// The certificates that the listeners present: those of the files, read again on reload, or one made here for developing.
internal final class CertificateStore: Sendable {
  private struct Contexts {
    var http: TLSContext
    var rtmp: TLSContext
    var turn: TLSContext
    var turnDatagrams: TLSContext
  }

  private let contexts: Mutex<Contexts>

  /// - Throws: a sentence that names the file.
  internal init(_ configuration: TLSConfiguration, state: String, log: Log) throws(TLSError) {
    contexts = Mutex(try Self.make(configuration, state: state, log: log))
  }

  /// For new connections; those there keep theirs.
  internal var http: TLSContext { contexts.withLock { $0.http } }
  internal var rtmp: TLSContext { contexts.withLock { $0.rtmp } }
  internal var turn: TLSContext { contexts.withLock { $0.turn } }
  /// DTLS.
  internal var turnDatagrams: TLSContext { contexts.withLock { $0.turnDatagrams } }

  /// Reads the files again. After an error the earlier certificates stay.
  internal func reload(_ configuration: TLSConfiguration, state: String, log: Log) throws(TLSError) {
    let fresh = try Self.make(configuration, state: state, log: log)
    contexts.withLock { $0 = fresh }
  }

  private static func make(_ configuration: TLSConfiguration, state: String, log: Log) throws(TLSError) -> Contexts {
    var identities: [TLSContext.Identity] = []
    if configuration.certificate.isEmpty {
      identities.append(try development(in: state, log))
    } else {
      identities.append(try read(configuration.certificate, configuration.key))
    }
    for host in configuration.hosts { identities.append(try read(host.certificate, host.key)) }
    // RFC 7443: names a client may offer, and need not.
    let stun = ["stun.turn", "stun.nat-discovery"]
    return Contexts(
      http: try .server(identities, alpn: ["h2", "http/1.1"] + stun), rtmp: try .server(identities),
      turn: try .server(identities, alpn: stun), turnDatagrams: try .datagramServer(identities))
  }

  private static func read(_ certificate: String, _ key: String) throws(TLSError) -> TLSContext.Identity {
    let identity: TLSContext.Identity
    do throws(FileError) {
      identity = TLSContext.Identity(certificateChainPEM: try SmallFile.read(certificate), privateKeyPEM: try SmallFile.read(key))
    } catch { throw TLSError(.configuration, "\(error) (tls.certificate, tls.key)") }
    // Tried by itself, so that the sentence names its files.
    do throws(TLSError) { _ = try TLSContext.server([identity]) } catch {
      throw TLSError(.configuration, "\(certificate), \(key): \(error) (tls.certificate, tls.key)")
    }
    return identity
  }

  // MARK: The development certificate

  /// Kept between starts, so that a browser's exception holds; a new one a week before it expires.
  private static func development(in folder: String, _ log: Log) throws(TLSError) -> TLSContext.Identity {
    let (certificatePath, keyPath) = (folder + "/development.pem", folder + "/development.key")
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let now = WallTime(milliseconds: Int64(time.tv_sec) * 1000)
    if !folder.isEmpty, let kept = try? read(certificatePath, keyPath), let expiry = Certificate.expiry(ofPEM: kept.certificateChainPEM),
      expiry.milliseconds > now.milliseconds + 7 * 86_400_000
    {
      return kept
    }
    let issued = try Certificate.selfSigned(names: ["localhost"], addresses: ["127.0.0.1", "::1"], now: now)
    if !folder.isEmpty {
      do throws(FileError) {
        try SmallFile.makeFolder(folder)
        try SmallFile.writePrivately(issued.privateKeyPEM, to: keyPath)
        try SmallFile.writePrivately(issued.certificatePEM, to: certificatePath)
        log(.info, "tls", "made a development certificate: \(certificatePath) (tls.certificate and tls.key set a real one)")
      } catch {
        log(.warning, "tls", "the development certificate is not kept: \(error) (state)")
      }
    }
    return TLSContext.Identity(certificateChainPEM: issued.certificatePEM, privateKeyPEM: issued.privateKeyPEM)
  }
}
