package import MartletEndpoints
package import MartletPrimitives

/// Who may do what, as configured. An action that no key, token key or webhook is for stays open to everybody, but uploads
/// and administration never do.
package struct AuthConfiguration: Equatable, Sendable {
  /// A secret that allows some actions on some paths.
  package struct StaticKey: Equatable, Sendable {
    package var key: Secret
    package var actions: [AccessAction]
    package var on: [PathPattern]

    package init(key: Secret, actions: [AccessAction], on: [PathPattern]) {
      self.key = key
      self.actions = actions
      self.on = on
    }
  }

  /// What tokens are verified with. Exactly one of secret and public key file is set.
  package struct TokenKey: Equatable, Sendable {
    package var id: String?
    /// HS256.
    package var secret: Secret?
    /// A PEM file with an RSA, P-256 or Ed25519 public key, or a certificate.
    package var publicKeyFile: String?
    /// The actions that need a token because of this key.
    package var actions: [AccessAction]

    package init(id: String? = nil, secret: Secret? = nil, publicKeyFile: String? = nil, actions: [AccessAction] = [.publish, .play]) {
      self.id = id
      self.secret = secret
      self.publicKeyFile = publicKeyFile
      self.actions = actions
    }
  }

  /// Somebody else who decides.
  package struct Webhook: Equatable, Sendable {
    package var url: String
    package var actions: [AccessAction]
    /// Signs the question, as for the other webhooks.
    package var secret: Secret?
    /// No answer by then is a refusal.
    package var timeout = TimeSpan.seconds(5)

    package init(url: String, actions: [AccessAction] = [.publish, .play], secret: Secret? = nil) {
      self.url = url
      self.actions = actions
      self.secret = secret
    }
  }

  /// Addresses for some actions.
  package struct AddressRule: Equatable, Sendable {
    package var actions: [AccessAction]
    package var from: [AddressRange]

    package init(actions: [AccessAction], from: [AddressRange]) {
      self.actions = actions
      self.from = from
    }
  }

  /// What everybody may do without credentials, although the action needs some elsewhere.
  package struct OpenRule: Equatable, Sendable {
    package var actions: [AccessAction]
    package var on: [PathPattern]

    package init(actions: [AccessAction], on: [PathPattern]) {
      self.actions = actions
      self.on = on
    }
  }

  package var keys: [StaticKey] = []
  package var anyone: [OpenRule] = []
  package var tokens: [TokenKey] = []
  package var webhook: Webhook?
  /// With a rule for an action, only its addresses may.
  package var allow: [AddressRule] = []
  package var deny: [AddressRule] = []
  /// How far the clock of whoever makes tokens may be off.
  package var leeway = TimeSpan.seconds(5)

  package init() {}

  /// Somebody took care of who may publish.
  package var guardsPublishing: Bool {
    keys.contains { $0.actions.contains(.publish) } || tokens.contains { $0.actions.contains(.publish) }
      || webhook?.actions.contains(.publish) == true || (allow + deny).contains { $0.actions.contains(.publish) }
  }
}
