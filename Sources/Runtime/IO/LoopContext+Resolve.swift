internal import CShims
internal import CUV
internal import Glibc
package import MartletPrimitives

extension LoopContext {
  /// Asks the system's resolver for a host's addresses, in the order in which to try them; calls `then` later, never from
  /// inside. An address needs no asking.
  package func resolve(_ host: String, then: @escaping (Result<[IPAddress], SystemError>) -> Void) {
    if let address = IPAddress(host) { return atEndOfTurn { then(.success([address])) } }
    let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
    request.pointee.data = Unmanaged.passRetained(Resolution(host: host, then: then)).toOpaque()
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    let code = uv_getaddrinfo(
      uv, request,
      { request, status, result in
        guard let request, let data = request.pointee.data else { return }
        let resolution = Unmanaged<Resolution>.fromOpaque(data).takeRetainedValue()
        request.deallocate()
        defer { uv_freeaddrinfo(result) }
        resolution.finish(status, result)
      }, host, nil, &hints)
    guard code != 0, let data = request.pointee.data else { return }
    Unmanaged<Resolution>.fromOpaque(data).release()
    request.deallocate()
    atEndOfTurn { then(.failure(SystemError("resolve \(host)", code: -code))) }
  }
}

/// One question to the resolver.
private final class Resolution {
  private let host: String
  private let then: (Result<[IPAddress], SystemError>) -> Void

  init(host: String, then: @escaping (Result<[IPAddress], SystemError>) -> Void) {
    self.host = host
    self.then = then
  }

  func finish(_ status: Int32, _ first: UnsafeMutablePointer<addrinfo>?) {
    guard status == 0 else { return then(.failure(SystemError("resolve \(host)", code: -status))) }
    var addresses: [IPAddress] = []
    var entry = first
    while let info = entry?.pointee {
      var storage = sockaddr_storage()
      if let address = info.ai_addr, Int(info.ai_addrlen) <= MemoryLayout<sockaddr_storage>.size {
        memcpy(&storage, address, Int(info.ai_addrlen))
        if let found = SocketAddress(storage), !addresses.contains(found.ip) { addresses.append(found.ip) }
      }
      entry = info.ai_next
    }
    then(addresses.isEmpty ? .failure(SystemError("resolve \(host)", code: ENOENT)) : .success(addresses))
  }
}
