internal import MartletCrypto
internal import MartletPrimitives

/// Whose certificates a client believes. Apart from `insecure` the certificate must also name the host.
public enum TLSTrust: Sendable, Equatable {
  /// The certificate authorities of the operating system.
  case system
  /// Only these, in PEM form: authorities, or the one certificate of a server that signs for itself.
  case certificates(pem: String)
  /// Any certificate for any name: encrypted, but with whom is unknown. For tests on your own machine.
  case insecure

  internal var trust: TLSContext.Trust {
    switch self {
    case .system: .system
    case .certificates(let pem): .pem(Array(pem.utf8))
    case .insecure: .insecure
    }
  }
}

extension TimeSpan {
  /// Saturates.
  internal init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, overflows) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
    self.init(nanoseconds: overflow || overflows ? (seconds < 0 ? .min : .max) : sum)
  }
}
