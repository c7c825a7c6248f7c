"""Models: loaded, adapted, and what attention they have."""

from typing import TYPE_CHECKING

from rlsc.runtime.lazy import lazy_face

if TYPE_CHECKING:
    from rlsc.models.adapters import (
        RoleAdapters,
        activate_as,
        adapter_config,
        adapter_is_new,
        adapter_is_off,
        adapter_off,
        is_quantised,
        lora_config,
        save_merged,
        with_adapter,
    )
    from rlsc.models.attention import (
        asks_for_more,
        cache_argument,
        check_architecture,
        hides_its_window,
        lent_attention,
        softcap_of,
    )
    from rlsc.models.float64 import in_float64
    from rlsc.models.loading import (
        context_length,
        disable_dropout,
        embedded_weights,
        empty_model,
        load_model,
        weights_hash,
    )
    from rlsc.models.policy import (
        load_base,
        load_policy,
        policy_config,
        policy_tokenizer,
        weight_files,
    )
    from rlsc.models.reward_model import RewardModel

__getattr__ = lazy_face(__name__)
